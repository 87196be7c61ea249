"""Reading and comparing results must stay light."""

import subprocess
import sys

CODE = """
import sys
import define.cli.compare, define.cli.params, define.cli.report, define.report.readme
import define.report.page.build, define.report.plots, define.analysis.tradeoff
print([name for name in ("torch", "fairseq", "matplotlib", "jinja2") if name in sys.modules])
"""


def test_results_need_neither_torch_nor_matplotlib_to_import():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

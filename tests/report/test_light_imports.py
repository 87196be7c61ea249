"""Reading and comparing results must stay light."""

import subprocess
import sys

CODE = """
import sys
import define.cli.compare, define.cli.params, define.cli.report, define.report.readme
import define.report.page, define.report.performance
heavy = ("torch", "fairseq", "matplotlib", "jinja2", "scipy")
print([name for name in heavy if name in sys.modules])
"""


def test_reports_import_heavy_libraries_on_use():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

"""Imports go one way, and `define.core` needs neither fairseq nor anything that comes with it."""

import ast
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "define"
STANDARD = set(sys.stdlib_module_names)
ANYTHING = None

FAIRSEQ_PARTS = {"models", "tasks", "criterions", "optim"}
BASE = {"errors", "files"}
BELOW_TRAIN = {"core", "data", "evaluation", "plugin", "runs"} | FAIRSEQ_PARTS | BASE

# Part of the package -> (parts of the package, other libraries) that it may import.
ALLOWED: dict[str, tuple[set[str] | None, set[str] | None]] = {
    "__init__": (set(), set()),
    "__main__": ({"cli"}, set()),
    "errors": (set(), set()),
    "files": (set(), set()),
    "core": ({"errors"}, {"torch"}),
    "data": (
        {"core"} | BASE,
        {"numpy", "tqdm", "sentencepiece", "sacremoses", "subword_nmt", "sacrebleu"},
    ),
    "evaluation": (
        {"core", "data"} | BASE,
        {"torch", "numpy", "tqdm", "sacrebleu", "sacremoses"},
    ),
    "runs": (BASE, {"torch", "pydantic", "annotated_types", "typing_extensions"}),
    "analysis": ({"runs"} | BASE, {"yaml", "scipy"}),
    "report": ({"analysis", "runs"} | BASE, {"rich", "tabulate", "matplotlib", "jinja2"}),
    **{
        part: ({"core", "data"} | FAIRSEQ_PARTS | BASE, {"torch", "numpy", "fairseq", "omegaconf"})
        for part in FAIRSEQ_PARTS
    },
    "plugin": (FAIRSEQ_PARTS, set()),
    "train": (BELOW_TRAIN, ANYTHING),
    "bench": (BELOW_TRAIN | {"train", "analysis", "report"}, ANYTHING),
    "cli": (ANYTHING, ANYTHING),
}

# Module -> libraries that it may import besides those of its part.
BESIDES = {"data/parallel/binarise.py": {"fairseq", "torch"}}


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imported(source: str) -> Iterator[str]:
    """Dotted names of all imports, in functions too; relative ones begin with a dot."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (f"{module}.{alias.name}" for alias in node.names)


def forbidden(part: str, source: str, besides: Collection[str] = ()) -> list[str]:
    """The imports of `source` that the part of the package may not have; `besides` are fine."""
    own, libraries = ALLOWED[part]
    wrong = []
    for name in imported(source):
        top, _, rest = name.partition(".")
        if top == "define":
            target = rest.partition(".")[0]
            fine = own is ANYTHING or target in {*own, part, "", "__version__"}
        else:
            fine = top in STANDARD or libraries is ANYTHING or top in {*libraries, *besides}
        if not fine:
            wrong.append(name)
    return wrong


MODULES = sorted(PACKAGE.rglob("*.py"))


def test_there_is_a_rule_for_every_part():
    assert {part_of(path) for path in MODULES} == set(ALLOWED)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    besides = BESIDES.get(str(path.relative_to(PACKAGE)), ())
    assert forbidden(part_of(path), path.read_text(encoding="utf-8"), besides) == []


@pytest.mark.parametrize(
    "part, source, expected",
    [
        ("core", "import fairseq", ["fairseq"]),
        ("core", "def f():\n    from define.data import text", ["define.data.text"]),
        ("core", "from define import data", ["define.data"]),
        ("core", "from . import unit", ["..unit"]),
        ("core", "import math, numpy", ["numpy"]),
        ("data", "import torch.nn", ["torch.nn"]),
        ("data", "def f():\n    import fairseq", ["fairseq"]),
        ("analysis", "import torch", ["torch"]),
        ("analysis", "from define.report import grid", ["define.report.grid"]),
        ("report", "from define.cli import compare", ["define.cli.compare"]),
        ("evaluation", "from define.runs import records", ["define.runs.records"]),
        ("tasks", "from define.train import run", ["define.train.run"]),
        ("train", "from define.cli import main", ["define.cli.main"]),
        ("core", "import torch\nfrom define.errors import InputError\nimport define.core.unit", []),
        ("data", "from define import __version__", []),
    ],
)
def test_the_check_sees_what_it_should(part, source, expected):
    assert forbidden(part, source) == expected


WITHOUT_FAIRSEQ = """
import importlib, pkgutil, sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("fairseq", "hydra", "omegaconf", "wandb"):
            raise ImportError(f"{name} is hidden")

sys.meta_path.insert(0, Hidden())
import define
assert "torch" not in sys.modules
for package in ("core", "data", "evaluation", "analysis", "report"):
    package = importlib.import_module("define." + package)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)

import torch
from define.core.awd_lstm import AWDLSTM, AWDLSTMConfig
model = AWDLSTM(AWDLSTMConfig(hidden_dim=8), 50)
output = model(torch.zeros(2, 1, dtype=torch.long))
print(*model.output.log_probs(output.features).shape)
"""


def test_all_but_the_plugin_works_without_fairseq_hydra_and_wandb():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FAIRSEQ], capture_output=True, text=True, cwd=PACKAGE.parent
    )
    assert done.stdout == "2 1 50\n", done.stderr

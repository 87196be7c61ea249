"""A run config without fairseq is the config with it; what trains nothing does not import it."""

import json
import subprocess
import sys
from dataclasses import fields

import pytest
from omegaconf import OmegaConf

from define import plugin
from define.train import schema
from define.train.compose import compose


def test_the_description_is_of_the_fairseq_that_is_installed():
    described = json.loads(schema.PATH.read_text(encoding="utf-8"))
    assert described == schema.describe(), "python -m define.train.schema writes it anew"


def registered(node: str) -> type:
    """The class of a choice in fairseq's own registries."""
    from fairseq.models import MODEL_DATACLASS_REGISTRY
    from fairseq.registry import REGISTRIES
    from fairseq.tasks import TASK_DATACLASS_REGISTRY

    group, _, name = node.partition("/")
    own = {"model": MODEL_DATACLASS_REGISTRY, "task": TASK_DATACLASS_REGISTRY}
    return own[group][name] if group in own else REGISTRIES[group]["dataclass_registry"][name]


def shape(made: type) -> list[tuple]:
    """Names, types and defaults, in order."""
    defaults = OmegaConf.to_container(OmegaConf.structured(made), resolve=False)
    return [(f.name, schema._text(f.type), defaults[f.name]) for f in fields(made)]


@pytest.mark.parametrize("node", schema.CLASSES)
def test_every_choice_is_what_fairseq_has(node):
    plugin.register()
    own, theirs = schema.CLASSES[node], registered(node)
    assert own.__name__ == theirs.__name__
    assert shape(own) == shape(theirs)


def test_fairseq_s_other_choices_can_be_taken():
    overrides = ["experiment=table_1c/awd_lstm", "scale=smoke", "lr_scheduler=triangular"]
    assert compose([*overrides, "lr_scheduler.max_lr=3.0"]).lr_scheduler._name == "triangular"


COMMANDS = (
    "params --table 1a --table 3",
    "train --dry-run experiment=table_1c/awd_lstm_define scale=paper",
    "train --dry-run experiment=table_3/transformer_define scale=paper",
    "train -m --dry-run experiment=table_1c/awd_lstm,table_3/transformer scale=smoke",
    "train -m --corpora experiment=table_1c/awd_lstm,table_3/transformer",
    "compare",
    "status",
)
PROGRAM = """
import sys
from define.cli.main import main
for command in sys.argv[1:]:
    assert main(command.split()) == 0, command
    for library in ("fairseq", "torch._dynamo"):
        assert library not in sys.modules, (command, library)
from define.train.compose import compose
from define.train.search.plan import make_plan
from define.train.search.study import Search
Search(make_plan(["experiment=table_1c/awd_lstm", "scale=smoke"]))
assert "fairseq" not in sys.modules, "define search"
"""


def test_what_trains_nothing_imports_neither_fairseq_nor_torch_s_compiler(workplace):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *COMMANDS], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr

"""What fairseq's registries hold under our names, and what imports what."""

import subprocess
import sys

from fairseq.criterions import CRITERION_REGISTRY
from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_REGISTRY
from fairseq.optim import OPTIMIZER_REGISTRY
from fairseq.tasks import TASK_REGISTRY

from define import plugin
from define.criterions.language_modeling import LanguageModelingCriterion
from define.models.awd_lstm import AWDLSTMModel, LSTMModel
from define.models.transformer import DefineTransformer
from define.models.transformer_xl import TransformerXLModel
from define.optim.adam import DefineAdam
from define.optim.nt_asgd import FairseqNTASGD
from define.optim.sgd import DefineSGD
from define.tasks.language_modeling import StreamLanguageModelingTask
from define.tasks.translation import DefineTranslationTask

NAMES = ("awd_lstm", "lstm", "transformer_xl", "transformer")


def entries() -> list:
    return [
        *(MODEL_REGISTRY[f"define_{name}"] for name in NAMES),
        *(ARCH_MODEL_REGISTRY[f"define_{name}"] for name in NAMES),
        TASK_REGISTRY["define_language_modeling"],
        TASK_REGISTRY["define_translation"],
        CRITERION_REGISTRY["define_language_modeling"],
        *(OPTIMIZER_REGISTRY[f"define_{name}"] for name in ("nt_asgd", "adam", "sgd")),
    ]


def test_the_registry_entries_are_our_classes():
    # fairseq returns an existing entry silently when a model's or a task's name is taken.
    assert entries() == [
        *(AWDLSTMModel, LSTMModel, TransformerXLModel, DefineTransformer),
        *(AWDLSTMModel, LSTMModel, TransformerXLModel, DefineTransformer),
        StreamLanguageModelingTask,
        DefineTranslationTask,
        LanguageModelingCriterion,
        *(FairseqNTASGD, DefineAdam, DefineSGD),
    ]


def test_registering_again_changes_nothing():
    before, registries = entries(), (MODEL_REGISTRY, TASK_REGISTRY, CRITERION_REGISTRY)
    names = [list(registry) for registry in registries]
    plugin.register()
    plugin.register()
    assert entries() == before
    assert [list(registry) for registry in registries] == names


def test_the_library_needs_no_fairseq():
    modules = (
        "define, define.core.registry, define.data.text.prepare, define.evaluation.checkpoints, "
    )
    modules += "define.evaluation.perplexity, define.runs.records, define.cli.main"
    block = "import sys; sys.modules['fairseq'] = None; sys.modules['fairseq_cli'] = None; "
    subprocess.run([sys.executable, "-c", f"{block}import {modules}"], check=True)


def test_import_define_is_light():
    check = "import sys, define; assert not {'torch', 'fairseq', 'hydra'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)

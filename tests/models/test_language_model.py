"""Registered models: built from Hydra's and fairseq's configs, and the loss that they give."""

import warnings

import pytest
import torch
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from omegaconf import OmegaConf

from define import plugin
from define.core.registry import MODELS
from define.models.awd_lstm import AWDLSTMModelConfig, LSTMModelConfig
from define.models.transformer_xl import TransformerXLModelConfig
from define.tasks.language_modeling import LanguageModelingTaskConfig, StreamLanguageModelingTask

CONFIGS = {
    "define_awd_lstm": AWDLSTMModelConfig,
    "define_lstm": LSTMModelConfig,
    "define_transformer_xl": TransformerXLModelConfig,
}
CUTOFFS = [5, 9]
FIELDS = {
    "define_awd_lstm": {"map": "adaptive", "output": "adaptive", "hidden_dim": 9},
    "define_lstm": {"map": "adaptive", "output": "adaptive", "hidden_dim": 9},
    "define_transformer_xl": {
        "projected_dim": 8,
        "model_dim": 8,
        "inner_dim": 12,
        "layers": 2,
        "heads": 2,
        "head_dim": 4,
        "memory_length": 3,
    },
}
SMALL = {"input": "table", "map_dim": 16, "cutoffs": CUTOFFS}


def test_every_registered_model_has_its_wrapper():
    assert set(CONFIGS) == set(MODELS)
    for name, config_class in CONFIGS.items():
        assert issubclass(config_class, MODELS[name][0])


@pytest.fixture
def task(corpus) -> StreamLanguageModelingTask:
    plugin.register()
    return StreamLanguageModelingTask(LanguageModelingTaskConfig(data=str(corpus.folder)))


@pytest.fixture
def from_hydra(task):
    """Name -> the model of a structured Hydra config, built by the task."""

    def build(name: str):
        config = OmegaConf.structured(CONFIGS[name]())
        config.merge_with(OmegaConf.create(SMALL | FIELDS[name]))
        config._name = name
        torch.manual_seed(0)
        return task.build_model(config)

    return build


def flags(fields: dict) -> list[str]:
    """fairseq's options; a list's numbers are joined by commas."""
    words = []
    for key, value in fields.items():
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        words += [f"--{key.replace('_', '-')}", text]
    return words


def parsed(*words: str):
    """The model section of `fairseq-train`'s config."""
    common = ["data", "--task=define_language_modeling", "--criterion=define_language_modeling"]
    parser = options.get_training_parser(default_task="define_language_modeling")
    arguments = options.parse_args_and_arch(parser, input_args=[*common, *words])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Hydra on how fairseq calls it
        return convert_namespace_to_omegaconf(arguments).model


@pytest.mark.parametrize("name", CONFIGS)
def test_fairseqs_flags_and_hydra_build_the_same_model(name, task, from_hydra):
    model = from_hydra(name)
    section = parsed("--arch", name, *flags(SMALL | FIELDS[name]))
    assert list(section.cutoffs) == CUTOFFS
    torch.manual_seed(0)
    twin = task.build_model(section)
    assert twin.core.config == model.core.config
    assert type(twin) is type(model) and type(twin.core) is MODELS[name][1]
    assert list(model.core.embedding.map.edges) == [0, *CUTOFFS, task.num_types]
    torch.testing.assert_close(twin.state_dict(), model.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("name", CONFIGS)
def test_flags_that_are_left_out_are_the_defaults(name):
    section = OmegaConf.to_container(parsed("--arch", name))
    assert section.pop("_name") == name
    defaults = vars(MODELS[name][0]())
    assert section == defaults


@pytest.mark.parametrize("name", CONFIGS)
def test_the_loss_is_the_output_layers_and_needs_targets(name, task, from_hydra):
    model = from_hydra(name).eval()
    tokens, targets = torch.randint(task.num_types, (2, 7, 3))
    targets[2, 1] = -1
    state = model(tokens)[1].state
    nll, output = model(tokens, state, targets)
    log_probs = model.core.output.log_probs(model.core(tokens, state).features)
    expected = -log_probs.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(nll, expected[targets != -1].sum())
    nothing, without = model(tokens, state)
    assert nothing is None and torch.equal(without.features, output.features)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_wrapper_adds_nothing_to_the_core(name, from_hydra):
    model = from_hydra(name)
    assert list(model.state_dict()) == [f"core.{key}" for key in model.core.state_dict()]
    assert model.max_positions() is None

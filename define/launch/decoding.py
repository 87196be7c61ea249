"""Translations of a trained model: beam search over token ids, and text around it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from fairseq import checkpoint_utils, utils
from fairseq.data import FairseqDataset
from fairseq.dataclass.configs import GenerationConfig
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from define.data.subwords import Subwords
from define.errors import InputError
from define.models.transformer import DefineTransformer
from define.tasks.translation import DefineTranslationTask


@dataclass(frozen=True)
class Decoding:
    """How hypotheses are searched for.

    Attributes:
        beam: hypotheses kept per sentence.
        length_penalty: a hypothesis' log-probability is divided by its length to this power; 1 is
            OpenNMT-py's "avg", Vaswani et al. have 0.6.
        max_len_a, max_len_b: a hypothesis has at most a * (source length) + b tokens.
        max_tokens: source tokens translated at a time, padding included.
        cache: read the input layers folded into tables.
        average: take the mean of the weights of so many last epochs; 0 takes the best checkpoint.
    """

    beam: int = 5
    length_penalty: float = 1.0
    max_len_a: float = 0.0
    max_len_b: int = 200
    max_tokens: int = 4096
    cache: bool = True
    average: int = 0

    def __post_init__(self) -> None:
        for name, least in (("beam", 1), ("max_len_b", 1), ("max_tokens", 1), ("average", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} = {getattr(self, name)} must be at least {least}")
        if self.max_len_a < 0:
            raise InputError(f"max_len_a = {self.max_len_a} must not be negative")

    def settings(self) -> dict[str, Any]:
        """All of it, plain."""
        return asdict(self)


def parse(section: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Decoding]:
    """The translations of a config's `run.translations`, the headline first.

    Args:
        section: name -> fields of `Decoding`; empty for {"beam_5": {}}.
    Raises:
        InputError: an unknown field, or a bad value.
    """
    known = [field.name for field in fields(Decoding)]
    found = {}
    for name, settings in (section or {"beam_5": {}}).items():
        for key in settings or {}:
            if key not in known:
                raise InputError(
                    f"run.translations.{name}.{key} is unknown; take some of {', '.join(known)}"
                )
        try:
            found[name] = Decoding(**(settings or {}))
        except InputError as error:
            raise InputError(f"run.translations.{name}: {error}") from None
    return found


def load_model(
    path: str | Path, task: DefineTranslationTask, decoding: Decoding, cuda: bool = False
) -> DefineTransformer:
    """The model of a checkpoint, made ready for generation; half precision comes back as float32.

    Args:
        path: a checkpoint; for an average, one in the folder of the epochs' checkpoints.
    Raises:
        InputError: no checkpoint, one of another kind, or too few epochs for an average.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no checkpoint {path}; train first, or name another")
    (model,), _ = checkpoint_utils.load_model_ensemble([str(path)], task=task)
    if not isinstance(model, DefineTransformer):
        raise InputError(
            f"{path} holds a {type(model).__name__}; name a checkpoint of define_transformer"
        )
    if decoding.average:
        model.load_state_dict(mean_weights(last_epochs(path.parent, decoding.average)))
    model.cache = decoding.cache
    if cuda:
        model.cuda()
    generation = OmegaConf.structured(GenerationConfig(beam=decoding.beam))
    model.prepare_for_inference_(DictConfig({"generation": generation}))
    return model


def last_epochs(folder: Path, number: int) -> list[Path]:
    """The checkpoints of the last epochs, which `checkpoint.keep_last_epochs` keeps.

    Raises:
        InputError: there are fewer.
    """
    found = {
        int(path.stem.removeprefix("checkpoint")): path
        for path in folder.glob("checkpoint*.pt")
        if path.stem.removeprefix("checkpoint").isdecimal()
    }
    if len(found) < number:
        raise InputError(
            f"{folder} holds the checkpoints of {len(found)} epochs, but {number} are to be "
            f"averaged; train with checkpoint.no_epoch_checkpoints=false and "
            f"checkpoint.keep_last_epochs={number}, or average fewer"
        )
    return [found[epoch] for epoch in sorted(found)[-number:]]


def mean_weights(paths: Sequence[Path]) -> dict[str, torch.Tensor]:
    """The mean of the checkpoints' weights, taken in float64."""
    total: dict[str, torch.Tensor] = {}
    for path in paths:
        for name, value in checkpoint_utils.load_checkpoint_to_cpu(str(path))["model"].items():
            total[name] = total.get(name, 0) + value.double()
    return {name: (value / len(paths)).float() for name, value in total.items()}


def translate(
    model: DefineTransformer,
    task: DefineTranslationTask,
    dataset: FairseqDataset,
    subwords: Subwords,
    decoding: Decoding,
    quiet: bool = False,
) -> list[str]:
    """The best hypothesis for every source sentence, as text, in the order of the data set.

    Raises:
        InputError: a sentence is longer than the model's positions.
        RuntimeError: a sentence was not translated.
    """
    positions = utils.resolve_max_positions(task.max_positions(), model.max_positions())
    longest = max(dataset.size(index)[0] for index in range(len(dataset)))
    if longest > positions[0]:
        raise InputError(
            f"a source sentence has {longest} tokens, the model reads at most {positions[0]}; "
            f"split it"
        )
    batches = task.get_batch_iterator(
        dataset, max_tokens=max(decoding.max_tokens, longest), max_positions=None, seed=1
    ).next_epoch_itr(shuffle=False)
    generator = task.build_generator(
        [model],
        GenerationConfig(
            beam=decoding.beam,
            lenpen=decoding.length_penalty,
            max_len_a=decoding.max_len_a,
            max_len_b=decoding.max_len_b,
        ),
    )
    cuda = next(model.parameters()).is_cuda
    found: list[str | None] = [None] * len(dataset)
    with tqdm(total=len(dataset), unit=" sentences", disable=quiet, leave=False) as bar:
        for sample in batches:
            sample = utils.move_to_cuda(sample) if cuda else sample
            hypotheses = task.inference_step(generator, [model], sample)
            for index, best in zip(sample["id"].tolist(), hypotheses, strict=True):
                found[index] = text(best[0]["tokens"], task.target_dictionary, subwords)
            bar.update(len(hypotheses))
    if None in found:
        raise RuntimeError(f"sentence {found.index(None)} was not translated")
    return found


def text(tokens: torch.Tensor, dictionary, subwords: Subwords) -> str:
    """Token ids as detokenised text, without special symbols."""
    special = {dictionary.bos(), dictionary.eos(), dictionary.pad()}
    return subwords.decode([dictionary[i] for i in tokens.tolist() if i not in special])

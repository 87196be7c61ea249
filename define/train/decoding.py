"""Translations of a trained model: beam search over token ids, and text around it."""

import re
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from fairseq import tasks, utils
from fairseq.data import Dictionary, LanguagePairDataset
from fairseq.dataclass.configs import GenerationConfig
from fairseq.models import ARCH_MODEL_REGISTRY
from fairseq.tasks.translation import TranslationTask
from omegaconf import OmegaConf
from torch import Tensor
from tqdm import tqdm

from define.core.registry import config_from
from define.data.parallel.pairs import PairCorpus
from define.data.parallel.subwords import Subwords
from define.errors import InputError
from define.evaluation import checkpoints
from define.evaluation.decodings import Decoding
from define.models.transformer import DefineTransformer, DefineTransformerConfig
from define.tasks.translation import DefineTranslationTask


def read(path: str | Path) -> Mapping[str, Any]:
    """A checkpoint of a translation model.

    Raises:
        InputError: no checkpoint, or one of another kind.
    """
    checkpoint = checkpoints.load(path)
    name = checkpoint["cfg"]["model"]["_name"]
    if ARCH_MODEL_REGISTRY.get(name) is not DefineTransformer:
        raise InputError(f"{path} holds a {name}; name a checkpoint of define_transformer")
    return checkpoint


def task_for(checkpoint: Mapping[str, Any], corpus: PairCorpus) -> DefineTranslationTask:
    """The task that a checkpoint was trained on, over the dictionaries of `corpus`.

    Raises:
        InputError: the corpus is of other languages.
    """
    section = checkpoint["cfg"]["task"]
    trained, given = (
        (section["source_lang"], section["target_lang"]),
        (corpus.source, corpus.target),
    )
    if trained != given:
        raise InputError(
            f"the checkpoint translates {' to '.join(trained)}, but {corpus.name} is a corpus of "
            f"{' to '.join(given)}; name the corpus that it was trained on"
        )
    own = {"_name": "define_translation", "data": str(corpus.folder)}
    return tasks.setup_task(OmegaConf.create({**section, **own}))


def load_model(
    path: str | Path, task: TranslationTask, decoding: Decoding, cuda: bool = False
) -> DefineTransformer:
    """The model of a checkpoint, made ready for generation; half precision comes back as float32.

    Args:
        path: a checkpoint; for an average, one in the folder of the others.
    Raises:
        InputError: no checkpoint, one of another kind, one of a training that has diverged, one of
            other dictionaries than the task's, or too few for an average.
    """
    checkpoint = read(path)
    config = config_from(DefineTransformerConfig, checkpoint["cfg"]["model"])
    source, target = task.source_dictionary, task.target_dictionary
    model = DefineTransformer.from_dictionaries(
        replace(config, cache=decoding.cache), source, target
    )
    weights = checkpoint["model"]
    if decoding.average:
        weights = mean_weights(last_checkpoints(Path(path).parent, decoding.average))
    if not all(value.isfinite().all() for value in weights.values()):
        raise InputError(f"{path} holds weights that are not finite; name another checkpoint")
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"the checkpoint does not fit dictionaries of {len(source)} and {len(target)} types; "
            f"name the corpus that it was trained on ({str(error).splitlines()[-1].strip()})"
        ) from error
    if cuda:
        model.cuda()
    model.prepare_for_inference_(Namespace(generation=GenerationConfig(beam=decoding.beam)))
    return model


def last_checkpoints(folder: Path, number: int) -> list[Path]:
    """The last checkpoints that are kept: those between epochs if there are any, else of epochs.

    Raises:
        InputError: there are fewer.
    """
    between, epochs = {}, {}
    for path in folder.glob("checkpoint*.pt"):
        if name := re.fullmatch(r"checkpoint(?:_\d+_)?(\d+)", path.stem):
            (between if "_" in path.stem else epochs)[int(name[1])] = path
    found = between or epochs
    if len(found) < number:
        raise InputError(
            f"{folder} keeps {len(found)} checkpoints, but {number} are to be averaged; train with "
            f"checkpoint.save_interval_updates and checkpoint.keep_interval_updates={number}, or "
            f"average fewer"
        )
    return [found[when] for when in sorted(found)[-number:]]


def mean_weights(paths: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of the checkpoints' weights, taken in float64."""
    total: dict[str, Tensor] = {}
    for path in paths:
        for name, value in checkpoints.load(path)["model"].items():
            total[name] = total.get(name, 0) + value.double()
    return {name: (value / len(paths)).float() for name, value in total.items()}


def encode(lines: Iterable[str], task: TranslationTask, subwords: Subwords) -> LanguagePairDataset:
    """Raw source sentences as fairseq's data set, without targets.

    A piece that the dictionary lacks becomes <unk>.
    """
    dictionary = task.source_dictionary
    tokenise = subwords.tokeniser(subwords.language)
    sentences = [
        torch.tensor([*map(dictionary.index, pieces), dictionary.eos()])
        for pieces in subwords.segment([tokenise(line) for line in lines])
    ]
    return task.build_dataset_for_inference(sentences, [len(ids) for ids in sentences])


def search(
    model: DefineTransformer,
    task: TranslationTask,
    dataset: LanguagePairDataset,
    decoding: Decoding,
    quiet: bool = False,
) -> list[Tensor]:
    """The best hypothesis for every source sentence, as token ids, in the order of the data set.

    That of a sentence without pieces is without pieces. Hypotheses do not depend on targets.

    Raises:
        InputError: a sentence is longer than the model's positions.
        RuntimeError: a sentence was not translated.
    """
    positions, _ = utils.resolve_max_positions(task.max_positions(), model.max_positions())
    for number, size in enumerate(dataset.src_sizes, start=1):
        if size > positions:
            raise InputError(
                f"source sentence {number} has {size} tokens, but the model reads at most "
                f"{positions}; split it"
            )
    whole = [index for index, size in enumerate(dataset.src_sizes) if size > 1]
    found = [torch.tensor([task.target_dictionary.eos()])] * len(dataset)
    if not whole:
        return found
    sizes = dataset.src_sizes[whole]
    # Without targets, for batches depend on their lengths.
    sources = task.build_dataset_for_inference([dataset.src[index] for index in whole], sizes)
    batches = task.get_batch_iterator(
        sources, max_tokens=max(decoding.max_tokens, sizes.max()), disable_iterator_cache=True
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
    left = set(whole)
    with tqdm(total=len(whole), unit=" sentences", disable=quiet, leave=False) as bar:
        for sample in batches:
            sample = utils.move_to_cuda(sample) if cuda else sample
            hypotheses = task.inference_step(generator, [model], sample)
            for place, best in zip(sample["id"].tolist(), hypotheses, strict=True):
                found[whole[place]] = best[0]["tokens"].cpu()
                left.remove(whole[place])
            bar.update(len(hypotheses))
    if left:
        raise RuntimeError(f"{len(left)} sentences were not translated, sentence {min(left) + 1}")
    return found


def translate(
    model: DefineTransformer,
    task: TranslationTask,
    dataset: LanguagePairDataset,
    subwords: Subwords,
    decoding: Decoding,
    quiet: bool = False,
) -> list[str]:
    """The best hypothesis for every source sentence, as text, in the order of the data set.

    Args:
        subwords: of the target language.
    Raises:
        as `search`.
    """
    return [
        text(tokens, task.target_dictionary, subwords)
        for tokens in search(model, task, dataset, decoding, quiet)
    ]


def text(tokens: Tensor, dictionary: Dictionary, subwords: Subwords) -> str:
    """Token ids as detokenised text, without special symbols."""
    special = {dictionary.bos(), dictionary.eos(), dictionary.pad()}
    return subwords.decode([dictionary[i] for i in tokens.tolist() if i not in special])

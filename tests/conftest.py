"""A tiny corpus for tests that train, and a place of their own for what they leave."""

import json
import os
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from define.data.parallel import pairs
from define.data.parallel.prepare import prepare_pairs
from define.data.text import corpora
from define.data.text.prepare import prepare

pytest_plugins = ["made_up_records"]

LINES = {"train": 160, "valid": 34, "test": 27}
WORDS = 60
PAIRS = {"train": 120, "valid": 21, "test": 17}


def lines(split: str) -> list[str]:
    """Sentences in which a word mostly decides the next one: there is something to learn."""
    generator = np.random.default_rng(sorted(LINES).index(split))
    made = []
    for length in generator.integers(4, 14, LINES[split]):
        word, words = int(generator.integers(WORDS)), []
        for _ in range(length):
            words.append(f"w{word}")
            often = generator.random() < 0.8
            word = (7 * word + 3) % WORDS if often else int(generator.integers(WORDS))
        made.append(" ".join(words))
    return made


@pytest.fixture(scope="session")
def data_root(tmp_path_factory) -> Path:
    """A data folder in which tiny synthetic corpora stand for ptb and python_docs."""
    root = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ptb", "python_docs"):
            spec = corpora.CorpusSpec(
                name=name,
                title="Synthetic",
                licence="None.",
                generate=lambda: {split: lines(split) for split in corpora.SPLITS},
            )
            patch.setitem(corpora.REGISTRY, name, spec)
            prepare(name, root / name)
    return root


@pytest.fixture(scope="session")
def corpus(data_root) -> corpora.Corpus:
    """The tiny corpus."""
    return corpora.load(data_root / "ptb")


def sentence_pairs(split: str) -> list[tuple[str, str]]:
    """Sentences of made-up words and their translations, word by word from the last one on."""
    generator = np.random.default_rng(sorted(PAIRS).index(split))
    made = []
    for length in generator.integers(2, 8, PAIRS[split]):
        words = generator.integers(20, size=length)
        source = [f"{'bdgk'[word % 4]}{'aeiou'[word % 5]}" for word in words]
        target = [f"{'lmnr'[word % 4]}{'uoiea'[word % 5]}st" for word in words[::-1]]
        made.append((" ".join(source), " ".join(target)))
    return made


@pytest.fixture(scope="session")
def pair_corpus(data_root) -> pairs.PairCorpus:
    """A tiny parallel corpus in the place of `grammar`, of 21 source and 20 target types."""
    spec = pairs.PAIRS["grammar"]
    with pytest.MonkeyPatch.context() as patch:
        spec = replace(
            spec,
            sets=tuple(replace(entry, sentences=None) for entry in spec.sets),
            pieces=48,
            training_pairs=None,
            generate=lambda: {split: sentence_pairs(split) for split in corpora.SPLITS},
        )
        patch.setitem(pairs.PAIRS, "grammar", spec)
        return prepare_pairs("grammar", data_root / "grammar", quiet=True)


@pytest.fixture
def save_translator(pair_corpus) -> Callable[..., Any]:
    """(path, seed, fields of the model's config) -> an untrained model, saved as training does."""
    from define.models.transformer import DefineTransformer, DefineTransformerConfig
    from define.train.decoding import task_for

    def save(path: Path, seed: int = 0, **fields) -> DefineTransformer:
        sizes = {"map_dim": 8, "expand_dim": 32, "max_groups": 4, "width_multiple": 8}
        sizes |= {"model_dim": 16, "reduce_dim": 16, "inner_dim": 32, "heads": 2}
        layers = {"encoder_layers": 2, "decoder_layers": 2}
        config = DefineTransformerConfig(**{**sizes, **layers, **fields})
        languages = {"source_lang": pair_corpus.source, "target_lang": pair_corpus.target}
        checkpoint = {
            "cfg": {
                "model": {**asdict(config), "_name": "define_transformer"},
                "task": {**languages, "data": str(pair_corpus.folder)},
            }
        }
        task = task_for(checkpoint, pair_corpus)
        torch.manual_seed(seed)
        model = DefineTransformer.from_dictionaries(
            config, task.source_dictionary, task.target_dictionary
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({**checkpoint, "model": model.state_dict()}, path)
        return model

    return save


@pytest.fixture
def workplace(tmp_path, monkeypatch, data_root) -> Path:
    """The current folder for one test: runs go below it, corpora are the tiny ones."""
    monkeypatch.setenv("DEFINE_DATA", str(data_root))
    monkeypatch.setenv("DEFINE_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


BLOCK = 32_768
"""Bytes of a block of LevelDB's log format, in which wandb writes."""


def wandb_records(path: Path) -> Iterator[Any]:
    """The records of a .wandb file: its header of 7 bytes, then a log as LevelDB's."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, position, payload = path.read_bytes(), 7, b""
    while position + 7 <= len(content):
        left = BLOCK - position % BLOCK
        _, length, kind = struct.unpack_from("<IHB", content, position)
        if left < 7 or kind == 0:
            position += left
            continue
        payload += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            record = Record()
            record.ParseFromString(payload)
            payload = b""
            yield record


def values(items) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def wandb_run(path: Path) -> dict[str, Any]:
    run: dict[str, Any] = {"history": [], "summary": {}, "exit_code": None}
    for record in wandb_records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            about = record.run
            run |= {"id": about.run_id, "name": about.display_name, "group": about.run_group}
            run |= {"job_type": about.job_type, "tags": list(about.tags)}
            run["config"] = values(about.config.update)
        elif kind == "history":
            row = values(record.history.item)
            run["history"].append({k: v for k, v in row.items() if not k.startswith("_")})
        elif kind == "summary":
            run["summary"] |= values(record.summary.update)
        elif kind == "exit":
            run["exit_code"] = record.exit.exit_code
    return run


@pytest.fixture(scope="session")
def wandb_runs() -> Callable[[Path], list[dict[str, Any]]]:
    """What wandb keeps of its offline runs in a run folder, by start: (folder) -> one each."""

    def written(path: Path) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while "id" not in (run := wandb_run(path)):  # wandb's own process writes it
            assert time.monotonic() < deadline, f"{path} has no run"
            time.sleep(0.1)
        return run

    return lambda folder: [
        written(path) for path in sorted(folder.glob("wandb/offline-run-*/*.wandb"))
    ]


@pytest.fixture(scope="session")
def scalars() -> Callable[[Path], dict[str, list[tuple[int, float]]]]:
    """TensorBoard's curves of a run folder: (folder) -> name -> (step, value) as it reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
        accumulator = EventAccumulator(str(folder / "tensorboard"))
        accumulator.Reload()
        names = accumulator.Tags()["scalars"]
        return {name: [(e.step, e.value) for e in accumulator.Scalars(name)] for name in names}

    return read


@pytest.fixture
def ptb_source() -> Path:
    """The folder with Penn Treebank, or a skip."""
    folder = os.environ.get("DEFINE_DATA_SOURCE")
    if not folder:
        pytest.skip("needs Penn Treebank: set DEFINE_DATA_SOURCE to a folder with ptb/ptb.*.txt")
    return Path(folder)

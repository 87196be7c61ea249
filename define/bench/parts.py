"""The parts of `define bench`, on the harness of `define.train.timing`."""

import os
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import fairseq_cli.train
import numpy as np
import torch
from fairseq import utils
from fairseq.dataclass.configs import GenerationConfig
from fairseq.models.transformer import TransformerModelBase
from fairseq.tasks import FairseqTask
from omegaconf import DictConfig
from torch import Tensor, nn

from define.analysis import published
from define.analysis.benchmarks import SCHEMA, busy
from define.bench.generated import MATERIALS, Pairs, Text
from define.bench.step import Updates
from define.core.embedding import DefineEmbedding
from define.core.inputs import InputOutputConfig, build_input
from define.core.outputs import build_output
from define.core.registry import config_from
from define.core.state import detach
from define.core.unit import DefineUnit, UnitConfig
from define.data import corpora, zipf
from define.errors import InputError
from define.models.transformer import DefineTransformerConfig
from define.runs import provenance
from define.runs.environment import allocator
from define.tasks.observer import Observed, Observer
from define.train.compose import compose
from define.train.counting import own_experiments
from define.train.observer import PeakMemory, RunObserver
from define.train.timing import (
    Measure,
    alternate,
    device_clock,
    in_child,
    load_average,
    peak_memory_mib,
    timed,
)
from define.train.tracking import Tracker

UNITS = ((256, 1024, 256, 3), (384, 1024, 384, 7), (512, 1024, 512, 11), (384, 4096, 384, 3))
"""(n, k, m, N) of the units that are timed; g_max is `MAX_GROUPS`."""
MAX_GROUPS = 32
STREAMS, LENGTH = 60, 70
"""Of a batch of text."""
TABLES = ("1a", "1c", "2", "3")
PRECISIONS = {"fp32": "none", "bf16": "bf16"}
"""What a group's title says -> task.autocast."""
SEED = 1


@dataclass(frozen=True)
class Bench:
    """What every part reads; the attributes are the options of `define bench`.

    Attributes:
        quick: fewer rounds and cases, and small batches.
        rounds: in place of a part's own number; None leaves it.
        scale, streams: in place of the part's own scale and of the recipe's streams, likewise.
        threads: of every process.
        clock: a key of `define.train.timing.CLOCKS`.
        quiet: no progress bar.
    """

    quick: bool = False
    rounds: int | None = None
    scale: str | None = None
    streams: int | None = None
    threads: int = 1
    clock: str = "wall"
    quiet: bool = False

    @property
    def device(self) -> str:
        return "cuda" if torch.cuda.is_available() else "cpu"

    def timed(self, call: Callable[[], Any]) -> Measure:
        return timed(call, device_clock(self.device == "cuda", self.clock))

    def turns(self, rounds: int) -> int:
        """How many rounds a part takes that by itself would take `rounds`."""
        return self.rounds or (min(2, rounds) if self.quick else rounds)

    def group(
        self, title: str, cases: Mapping[str, Measure], rounds: int, warm_up: int = 1, **facts
    ) -> dict[str, Any]:
        """A group of the record: cases measured in turn; ratios are to the first of them."""
        values = alternate(cases, self.turns(rounds), warm_up, None if self.quiet else title)
        plain = {"unit": "ms", "axis": None, "table": None, "scale": None, "tokens": {}}
        return {"title": title, **plain, **facts, "values": values}

    def config(self, experiment: str, scale: str, *overrides: str) -> DictConfig:
        overrides = f"experiment={experiment}", f"scale={scale}", *overrides
        config = compose([*overrides, f"threads={self.threads}"])
        config.common.cpu = self.device == "cpu"
        return config

    def material(self, config: DictConfig, updates: int) -> Text | Pairs:
        """What so many updates read: at most `streams`, or one batch of pairs each."""
        if MATERIALS[config.task._name] is Text:
            streams = self.streams or (2 if self.quick else config.dataset.batch_size)
            return Text(config, updates, min(streams, config.dataset.batch_size))
        most = config.dataset.max_tokens
        return Pairs(config, updates, min(256, most) if self.quick else most, 1)

    def updates(self, config: DictConfig, number: int, **options) -> Updates:
        return Updates(config, self.material(config, number), self.clock, **options)


def unit(bench: Bench) -> Iterator[dict[str, Any]]:
    """The unit, and the input layer around it, against the unit's bare matrix products."""
    tokens, corpus = natural_text()
    distinct, tokens = len(tokens.unique()), tokens.to(bench.device)
    for size in UNITS[:1] if bench.quick else UNITS:
        config = UnitConfig(*size, MAX_GROUPS)
        module = DefineUnit(config).to(bench.device)
        table = nn.Embedding(corpus["types"], config.n, device=bench.device)
        embedding = DefineEmbedding(table, module, config.output_dim)
        e_i = torch.randn(distinct, config.n, device=bench.device, requires_grad=True)
        for name, autocast in PRECISIONS.items():
            bf16 = autocast == "bf16"
            cases = {
                "floor": products(config, distinct, bf16, bench.device),
                "unit": both_ways(module, e_i, bf16),
                "input layer": both_ways(embedding, tokens, bf16),
            }
            title = f"(n, k, m, N) = {size}, {distinct:,} distinct tokens, {name}"
            yield bench.group(title, {key: bench.timed(call) for key, call in cases.items()}, 21)


def products(config: UnitConfig, rows: int, bf16: bool, device: str) -> Callable[[], None]:
    """The unit's matrix products and nothing else: one forward and two backward for each layer."""
    shapes = [*config.layer_shapes(), config.reduce_shape()]
    if config.released:
        shapes.insert(0, (config.n, config.mixed_dim, 1))
    dtype = torch.bfloat16 if bf16 else torch.float32
    operands = []
    for n_in, n_out, g in shapes:
        sizes = (rows, n_in // g), (n_in // g, n_out // g), (rows, n_out // g)
        groups = () if g == 1 else (g,)
        operands.append([torch.randn(*groups, *s, dtype=dtype, device=device) for s in sizes])

    def call() -> None:
        for x, weight, grad in operands:
            x @ weight
            grad @ weight.mT
            x.mT @ grad

    return call


def both_ways(module: nn.Module, x: Tensor, bf16: bool = False) -> Callable[[], None]:
    """A forward and a backward pass, to the parameters and to `x` unless it holds tokens."""
    wanted = [*module.parameters(), *([x] if x.requires_grad else [])]

    def call() -> None:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
            y = module(x)
        torch.autograd.grad(y, wanted, torch.ones_like(y))

    return call


def natural_text() -> tuple[Tensor, dict[str, Any]]:
    """Tokens (LENGTH, STREAMS) of WikiText-2 if it is prepared, else of Zipf's law; its `meta`."""
    try:
        corpus = corpora.load(Path(os.environ.get("DEFINE_DATA", "data")) / "wikitext-2")
    except InputError:
        types = corpora.get_spec("wikitext-2").types
        meta = {"name": "zipf", "sha256": {}, "tokens": {}, "types": types}
        return zipf_tokens(types, LENGTH, STREAMS), meta
    tokens = corpus.tokens["train"]
    columns = tokens[: len(tokens) // STREAMS * STREAMS].reshape(STREAMS, -1)[:, :LENGTH]
    return torch.from_numpy(columns.astype(np.int64)).T.contiguous(), corpus.meta


def zipf_tokens(types: int, *shape: int) -> Tensor:
    ranks = zipf.draw(np.random.default_rng(SEED), types, int(np.prod(shape)))
    return torch.from_numpy(ranks - 1).view(shape)


def share(bench: Bench) -> Iterator[dict[str, Any]]:
    """The unit's part of a training step of R3, R5 and Transformer-XL with DeFINE."""
    rows = ("table_1a/lstm_r3", "table_1a/lstm_r5", "table_2/txl_384_define")
    for experiment in rows[:1] if bench.quick else rows:
        for name, autocast in PRECISIONS.items():
            config = bench.config(experiment, bench.scale or "paper", f"task.autocast={autocast}")
            updates = bench.updates(config, bench.turns(5) + 1)
            embedding = updates.trainer.model.core.embedding
            tokens = zipf_tokens(
                embedding.num_embeddings, config.task.bptt, config.dataset.batch_size
            )
            with torch.no_grad():
                e_i = embedding.map(tokens.unique().to(bench.device)) * embedding.scale
            alone = both_ways(embedding.unit, e_i.requires_grad_(), autocast == "bf16")
            title = f"{experiment}, {config.dataset.batch_size} x {config.task.bptt} tokens, {name}"
            cases = {"step": updates, "unit": bench.timed(alone)}
            yield bench.group(title, cases, rounds=5)


def steps(bench: Bench) -> Iterator[dict[str, Any]]:
    """A training step of every row of Tables 1a, 1c, 2 and 3."""
    scales = (bench.scale,) if bench.scale else ("mini",) if bench.quick else ("mini", "paper")
    for scale in scales:
        for table in TABLES:
            experiments = rows_of(table)
            first, *others = experiments
            # All models of a table at the paper's size would need more memory than most have.
            sets = [[first, row] for row in others] if scale == "paper" else [[first, *others]]
            for rows in sets:
                cases = {}
                for row in rows:
                    config = bench.config(experiments[row], scale)
                    cases[row] = bench.updates(config, bench.turns(7) + 1)
                batch = config.dataset.batch_size
                size = f"{batch} streams" if batch else f"{config.dataset.max_tokens} tokens"
                title = f"Table {table}, scale {scale}, {size}"
                group = bench.group(title, cases, 7, table=table, scale=scale)
                yield with_tokens(group, cases)


def with_tokens(group: dict[str, Any], cases: Mapping[str, Updates]) -> dict[str, Any]:
    """The group, and how many tokens an update of each case scored on average."""
    return group | {"tokens": {name: round(mean(of.tokens)) for name, of in cases.items()}}


def rows_of(table: str) -> dict[str, str]:
    """Row -> experiment of the paper's rows that have a config of their own, in its order."""
    own = own_experiments(table)
    return {row.row: own[row.row] for row in published.table(table) if row.row in own}


def softmax(bench: Bench) -> Iterator[dict[str, Any]]:
    """Our adaptive softmax against torch's: time, and the memory that a pass takes on top."""
    size = (50_000, 420) if bench.quick else (267_735, STREAMS * LENGTH)
    title = "V = {:,}, {:,} positions".format(*size)
    layers = {name: softmax_pass(name, *size, bench.device) for name in ("torch", "define")}
    yield bench.group(title, {name: bench.timed(call) for name, call in layers.items()}, rounds=7)
    cases = {
        name: lambda name=name: [in_child(softmax_memory, name, *size, bench.threads)]
        for name in layers
    }
    yield bench.group(f"{title}, memory", cases, rounds=1, warm_up=0, unit="MiB")


def softmax_pass(name: str, types: int, positions: int, device: str) -> Callable[[], None]:
    """Loss and gradients of R3's output layer; cutoffs that V does not reach are left out."""
    section = compose(["experiment=table_1a/lstm_r3", "scale=paper"]).model
    section.cutoffs = [cutoff for cutoff in section.cutoffs if cutoff < types]
    dim = section.map_dim
    features = torch.randn(positions, dim, device=device, requires_grad=True)
    targets = zipf_tokens(types, positions).to(device)
    if name == "torch":
        layer = nn.AdaptiveLogSoftmaxWithLoss(
            dim, types, list(section.cutoffs), section.cluster_factor, device=device
        )
        loss = lambda: layer(features, targets).loss  # noqa: E731
    else:
        config = config_from(InputOutputConfig, section)
        layer = build_output(config, build_input(config, types), dim).to(device)
        loss = lambda: layer.nll_sum(features, targets) / positions  # noqa: E731
    wanted = [features, *layer.parameters()]
    return lambda: torch.autograd.grad(loss(), wanted, allow_unused=True)


def softmax_memory(name: str, types: int, positions: int, threads: int) -> float:
    """MiB that two passes need on top of layer and features."""
    torch.set_num_threads(threads)
    cuda = torch.cuda.is_available()
    call = softmax_pass(name, types, positions, "cuda" if cuda else "cpu")
    before = torch.cuda.memory_allocated() / 2**20 if cuda else peak_memory_mib()
    call()
    call()
    peak = torch.cuda.max_memory_allocated() / 2**20 if cuda else peak_memory_mib()
    return peak - before


class Stopwatch(RunObserver):
    """The observer of `define train`, which notes in `times` the ms of each update."""

    def __init__(self, folder: Path, clock: Callable[[], float]):
        speed = {"seconds": 0.0, "ms_per_update": 0.0, "tokens_per_second": 0.0}
        super().__init__(folder / "record.json", {"speed": speed}, 0, 100, Tracker(), quiet=True)
        self.times, self._clock = [], clock

    def begin(self) -> None:
        super().begin()
        self._started = self._clock()

    def updated(self, *update) -> None:
        super().updated(*update)
        now = self._clock()
        self.times.append(1000 * (now - self._started))
        self._started = now


def loop(bench: Bench) -> Iterator[dict[str, Any]]:
    """The loop of `define train` against a bare one with the same model and optimizer."""
    rows = ("table_1a/lstm_r3", "table_1c/awd_lstm", "table_2/txl_64")
    block = 5 if bench.quick else 20
    clock = device_clock(bench.device == "cuda", bench.clock)
    for experiment in rows[:1] if bench.quick else rows:
        for name, autocast in PRECISIONS.items():
            with tempfile.TemporaryDirectory() as folder:
                config = bench.config(
                    experiment, bench.scale or "mini", f"task.autocast={autocast}"
                )
                config.dataset.disable_validation = config.checkpoint.no_save = True
                config.checkpoint.save_dir = folder  # fairseq makes it all the same
                number = (bench.turns(5) + 1) * block
                bare, ours = (bench.updates(config, number) for _ in range(2))
                cases = {
                    "bare": bare_loop(bare, block, autocast == "bf16", clock),
                    "define train": train_loop(ours, block, Stopwatch(Path(folder), clock)),
                }
                yield bench.group(f"{experiment}, {name}", cases, rounds=5)


def bare_loop(updates: Updates, block: int, bf16: bool, clock: Callable[[], float]) -> Measure:
    """Measures so many updates by the fewest calls that train the same."""
    trainer, state = updates.trainer, None
    model, optimizer = trainer.model.train(), trainer.optimizer.optimizer
    device = next(model.parameters()).device.type

    def update() -> None:
        nonlocal state
        (batch,) = next(updates.groups)
        batch = utils.move_to_cuda(batch) if trainer.cuda else batch
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            loss, scored, _, state = trainer.criterion.with_state(model, batch, state)
        state = detach(state)
        optimizer.zero_grad()
        (loss / scored).backward()
        nn.utils.clip_grad_norm_(model.parameters(), trainer.cfg.optimization.clip_norm or 1e9)
        optimizer.step()

    measure = timed(update, clock)
    return lambda: [ms for _ in range(block) for ms in measure()]


def train_loop(updates: Updates, block: int, stopwatch: Stopwatch) -> Measure:
    """Measures so many updates of fairseq's own `train`, with the observer of `define train`."""
    trainer = updates.trainer

    def measure() -> list[float]:
        stopwatch.times.clear()
        trainer.cfg.optimization.max_update = trainer.get_num_updates() + block
        batches = trainer.get_train_iterator(epoch=1, load_dataset=False)
        Observed.observer = stopwatch
        try:
            fairseq_cli.train.train(trainer.cfg, trainer, trainer.task, batches)
        finally:
            Observed.observer = Observer()
        return list(stopwatch.times)

    return measure


def translation(bench: Bench) -> Iterator[dict[str, Any]]:
    """Our Transformer against fairseq's own: an update, and a batch of beam search."""
    scale, rows = bench.scale or "mini", ("transformer", "transformer_define")
    for name, autocast in PRECISIONS.items():
        cases = {}
        for case, row in (("fairseq", rows[0]), *zip(rows, rows, strict=True)):
            config = bench.config(f"table_3/{row}", scale, f"task.autocast={autocast}")
            build = partial(fairseq_transformer, config.model) if case == "fairseq" else None
            cases[case] = bench.updates(config, bench.turns(7) + 3, build=build)
        group = bench.group(f"update, scale {scale}, {name}", cases, rounds=7)
        yield with_tokens(group, cases)
    length = 5 if bench.quick else 30
    searches = {case: bench.timed(beam_search(taken, length)) for case, taken in cases.items()}
    title = f"beam search for {length} tokens, scale {scale}, fp32"
    yield bench.group(title, searches, rounds=7)


def fairseq_transformer(section: Mapping[str, Any], task: FairseqTask) -> nn.Module:
    """fairseq's own model, of the sizes of a config's `model` section."""
    config = config_from(DefineTransformerConfig, section).transformer_config()
    config.no_scale_embedding = not section["scale_embedding"]
    model = TransformerModelBase.build_model(config, task)
    for parameter in model.parameters():
        parameter.param_group = "context"
    return model


def beam_search(updates: Updates, length: int) -> Callable[[], Any]:
    """Searches for hypotheses of exactly so many tokens, for the sentences of one batch."""
    task, model = updates.trainer.task, updates.trainer.model
    settings = GenerationConfig(beam=5, min_len=length, max_len_b=length)
    batch = next(updates.groups)[0]
    batch = utils.move_to_cuda(batch) if updates.trainer.cuda else batch
    model.prepare_for_inference_(Namespace(generation=settings))
    generator = task.build_generator([model], settings)
    return partial(task.inference_step, generator, [model.eval()], batch)


def growth(bench: Bench) -> Iterator[dict[str, Any]]:
    """The input layer's time by N, k, streams and V."""
    base = {"N": 3, "k": 1024, "streams": STREAMS, "V": 33_278}
    points = {
        "N": (2, 3, 5, 7, 9, 11),
        "k": (512, 1024, 2048, 4096),
        "streams": (4, 15, 60, 240),
        "V": (10_000, 30_000, 100_000, 300_000, 1_000_000),
    }
    for axis, values in points.items():
        cases = {}
        for value in values[:2] if bench.quick else values:
            size = base | {axis: value}
            config = UnitConfig(256, size["k"], 256, size["N"], MAX_GROUPS)
            table = nn.Embedding(size["V"], config.n)
            layer = DefineEmbedding(table, DefineUnit(config), config.m).to(bench.device)
            tokens = zipf_tokens(size["V"], LENGTH, size["streams"]).to(bench.device)
            cases[str(value)] = bench.timed(both_ways(layer, tokens))
        rest = ", ".join(f"{name} = {value:,}" for name, value in base.items() if name != axis)
        yield bench.group(f"input layer by {axis} (n = m = 256, {rest})", cases, 15, axis=axis)


def memory(bench: Bench) -> Iterator[dict[str, Any]]:
    """The peak memory of some updates of every mini run, each in a process of its own."""
    scale, number = bench.scale or "mini", 5 if bench.quick else 100
    for table in TABLES[:1] if bench.quick else TABLES:
        cases = {
            row: lambda job=(bench, experiment, scale, number): [in_child(run_memory, *job)]
            for row, experiment in rows_of(table).items()
        }
        title = f"Table {table}, scale {scale}, {number} updates"
        yield bench.group(title, cases, rounds=1, warm_up=0, unit="MiB", table=table, scale=scale)


def run_memory(bench: Bench, experiment: str, scale: str, number: int) -> float:
    """MiB of a process that trains with the recipe's own lengths of windows."""
    torch.set_num_threads(bench.threads)
    config = bench.config(experiment, scale)
    random_lengths = config.task.get("random_bptt", False)
    material = bench.material(config, number + 2)
    if random_lengths:
        config.task.random_bptt = True
    updates, Observed.observer = Updates(config, material), PeakMemory()
    for _ in range(number):
        updates()
    return Observed.observer.mib


def startup(bench: Bench) -> Iterator[dict[str, Any]]:
    """The time until a command is done that trains nothing."""
    commands = {
        "import torch": ["-c", "import torch"],
        "define --help": ["-m", "define", "--help"],
        "define params": ["-m", "define", "params", "--table", "1a"],
        "define train --dry-run": ["-m", "define", "train", "--dry-run"],
    }
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "DEFINE_RUNS": folder}

        def clock() -> float:
            """As the bench's own, which does not count the processes that it starts."""
            return sum(os.times()[2:4]) if bench.clock == "cpu" else time.perf_counter()

        def run(words: list[str]) -> Measure:
            def call() -> None:
                subprocess.run(
                    [sys.executable, *words], env=env, check=True, stdout=subprocess.DEVNULL
                )

            return timed(call, clock)

        cases = {name: run(words) for name, words in commands.items()}
        yield bench.group("commands", cases, rounds=5)


PARTS: dict[str, Callable[[Bench], Iterator[dict[str, Any]]]] = {
    part.__name__: part
    for part in (unit, share, steps, softmax, loop, translation, growth, memory, startup)
}


def run(
    parts: Sequence[str], bench: Bench, save: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Measures the parts, in order.

    Args:
        save: is given the record so far after every group.
    Returns:
        the record of `define.analysis.benchmarks`.
    Raises:
        InputError: a config that cannot be composed at the scale asked for, or updates that fail.
    """
    torch.set_num_threads(bench.threads)
    start = load_average()
    record = {
        "schema": SCHEMA,
        "quick": bench.quick,
        "clock": bench.clock,
        "cores": os.cpu_count(),
        "allocator": allocator(),
        "load_average": {"start": start, "end": start},
        "busy": None,
        "groups": [],
        "provenance": provenance.collect(natural_text()[1], bench.device == "cpu", bench.threads),
    }
    for part in parts:
        for group in PARTS[part](bench):
            record["groups"].append({"part": part, **group})
            record["load_average"]["end"] = load_average()
            record["busy"] = busy(record["load_average"], bench.threads)
            record["provenance"]["finished"] = provenance.now()
            save(record)
    return record

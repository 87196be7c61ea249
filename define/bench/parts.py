"""The parts of `define bench`: each measures its cases against each other."""

import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import fairseq_cli.train
import torch
from fairseq import utils
from fairseq.dataclass.configs import GenerationConfig
from fairseq.models.transformer import TransformerModelBase
from fairseq.tasks import FairseqTask
from omegaconf import DictConfig
from torch import Tensor, nn

from define.analysis import published
from define.bench.generated import zipf_tokens
from define.bench.harness import LENGTH, STREAMS, TYPES, Bench, Part, Updates, observed_by
from define.core.embedding import DefineEmbedding
from define.core.inputs import InputOutputConfig, build_input
from define.core.outputs import build_output
from define.core.registry import config_from
from define.core.state import detach
from define.core.unit import DefineUnit, UnitConfig
from define.models.transformer import DefineTransformerConfig
from define.train.compose import compose
from define.train.counting import own_experiments
from define.train.observer import RunObserver
from define.train.timing import Measure, device_clock, in_child, peak_memory_mib
from define.train.tracking import Tracker

UNITS = ((256, 1024, 256, 3), (384, 1024, 384, 7), (512, 1024, 512, 11), (384, 4096, 384, 3))
"""(n, k, m, N) of the units that are timed; g_max is `MAX_GROUPS`."""
MAX_GROUPS = 32
TABLES = ("1a", "1c", "2", "3")
PRECISIONS = {"fp32": "none", "bf16": "bf16"}
"""What a group's title says -> task.autocast."""


def in_precisions(
    bench: Bench, rows: Sequence[str], scale: str
) -> Iterator[tuple[str, bool, DictConfig]]:
    """Title, whether it is bf16, and config of each row (quickly: the first) in each precision."""
    for experiment in rows[:1] if bench.quick else rows:
        for name, autocast in PRECISIONS.items():
            config = bench.config(experiment, bench.scale or scale, f"task.autocast={autocast}")
            yield f"{experiment}, {name}", name == "bf16", config


def unit(bench: Bench) -> Iterator[dict[str, Any]]:
    """The unit, and the input layer around it, against the unit's bare matrix products."""
    tokens = zipf_tokens(TYPES, LENGTH, STREAMS).to(bench.device)
    distinct = len(tokens.unique())
    for size in UNITS[:1] if bench.quick else UNITS:
        config = UnitConfig(*size, MAX_GROUPS)
        module = DefineUnit(config).to(bench.device)
        table = nn.Embedding(TYPES, config.n, device=bench.device)
        embedding = DefineEmbedding(table, module)
        e_i = torch.randn(distinct, config.n, device=bench.device, requires_grad=True)
        for name in PRECISIONS:
            bf16 = name == "bf16"
            cases = {
                "floor": bench.timed(products(config, distinct, bf16, bench.device)),
                "unit": bench.timed(both_ways(module, e_i, bf16)),
                "input layer": bench.timed(both_ways(embedding, tokens, bf16)),
            }
            title = f"(n, k, m, N) = {size}, {distinct:,} distinct tokens, {name}"
            yield bench.group(title, cases, rounds=21)


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


def share(bench: Bench) -> Iterator[dict[str, Any]]:
    """The unit's part of a training step of R3, R5 and Transformer-XL with DeFINE."""
    rows = ("table_1a/lstm_r3", "table_1a/lstm_r5", "table_2/txl_384_define")
    for title, bf16, config in in_precisions(bench, rows, "paper"):
        updates = bench.updates(config, bench.turns(5) + 1)
        embedding = updates.trainer.model.core.embedding
        streams, bptt = config.dataset.batch_size, config.task.bptt
        tokens = zipf_tokens(embedding.num_embeddings, bptt, streams)
        with torch.no_grad():
            e_i = embedding.map(tokens.unique().to(bench.device)) * embedding.scale
        alone = both_ways(embedding.unit, e_i.requires_grad_(), bf16)
        cases = {"step": updates, "unit": bench.timed(alone)}
        yield bench.group(f"{title}, {streams} x {bptt} tokens", cases, rounds=5)


def steps(bench: Bench) -> Iterator[dict[str, Any]]:
    """A training step of every row of Tables 1a, 1c, 2 and 3."""
    scales = (bench.scale,) if bench.scale else ("mini",) if bench.quick else ("mini", "paper")
    for scale in scales:
        for table in TABLES:
            own = own_experiments(table)
            first, *others = [row.row for row in published.table(table) if row.row in own]
            # All models of a table at the paper's size would need too much memory at once.
            sets = [[first, row] for row in others] if scale == "paper" else [[first, *others]]
            for rows in sets:
                cases = {}
                for row in rows:
                    config = bench.config(own[row], scale)
                    cases[row] = bench.updates(config, bench.turns(7) + 1)
                batch = config.dataset.batch_size
                size = f"{batch} streams" if batch else f"{config.dataset.max_tokens} tokens"
                title = f"Table {table}, scale {scale}, {size}"
                yield bench.group(title, cases, 7, table=table, scale=scale)


def softmax(bench: Bench) -> Iterator[dict[str, Any]]:
    """Our adaptive softmax against torch's: time, and the memory that a pass takes on top."""
    size = (50_000, 420) if bench.quick else (267_735, STREAMS * LENGTH)
    title, times, peaks = "V = {:,}, {:,} positions".format(*size), {}, {}
    for name in ("torch", "define"):
        times[name] = bench.timed(softmax_pass(name, *size, bench.device))
        peaks[name] = lambda job=(name, *size, bench.threads): [in_child(softmax_memory, *job)]
    yield bench.group(title, times, rounds=7)
    yield bench.group(f"{title}, memory", peaks, rounds=1, warm_up=0, unit="MiB")


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
    return (torch.cuda.max_memory_allocated() / 2**20 if cuda else peak_memory_mib()) - before


def loop(bench: Bench) -> Iterator[dict[str, Any]]:
    """The loop of `define train` against a bare one, with the same model and optimizer."""
    rows = ("table_1a/lstm_r3", "table_1c/awd_lstm", "table_2/txl_64")
    block = 5 if bench.quick else 20
    clock = device_clock(bench.device == "cuda", bench.clock)
    for title, bf16, config in in_precisions(bench, rows, "mini"):
        with tempfile.TemporaryDirectory() as folder:
            config.dataset.disable_validation = config.checkpoint.no_save = True
            config.checkpoint.save_dir = folder  # fairseq creates it regardless
            number = (bench.turns(5) + 1) * block
            bare, ours = (bench.updates(config, number) for _ in range(2))
            cases = {
                "bare": bare_loop(bare, block, bf16, clock),
                "define train": train_loop(ours, block, Stopwatch(Path(folder), clock)),
            }
            yield bench.group(title, cases, rounds=5)


def bare_loop(updates: Updates, block: int, bf16: bool, clock: Callable[[], float]) -> Measure:
    """Measures ms per update, over a block of updates, by the fewest calls that train the same."""
    trainer, state = updates.trainer, None
    model, optimizer = trainer.model.train(), trainer.optimizer.optimizer
    device = next(model.parameters()).device.type

    def measure() -> list[float]:
        nonlocal state
        started = clock()
        for _ in range(block):
            (batch,) = next(updates.groups)
            batch = utils.move_to_cuda(batch) if trainer.cuda else batch
            with torch.autocast(device, torch.bfloat16, enabled=bf16):
                loss, scored, _, state = trainer.criterion.with_state(model, batch, state)
            state = detach(state)
            optimizer.zero_grad()
            (loss / scored).backward()
            nn.utils.clip_grad_norm_(model.parameters(), trainer.cfg.optimization.clip_norm or 1e9)
            optimizer.step()
        return [1000 * (clock() - started) / block]

    return measure


class Stopwatch(RunObserver):
    """The observer of `define train`, which notes when an epoch starts and its last update ends."""

    def __init__(self, folder: Path, clock: Callable[[], float]):
        speed = {"seconds": 0.0, "ms_per_update": 0.0, "tokens_per_second": 0.0}
        super().__init__(folder / "record.json", {"speed": speed}, 0, 100, Tracker(), quiet=True)
        self.clock = clock

    def begin(self) -> None:
        super().begin()
        self.started = self.clock()

    def updated(self, *update) -> None:
        super().updated(*update)
        self.finished = self.clock()


def train_loop(updates: Updates, block: int, watch: Stopwatch) -> Measure:
    """Measures ms per update of fairseq's own `train`, with the observer of `define train`."""
    trainer = updates.trainer

    def measure() -> list[float]:
        trainer.cfg.optimization.max_update = trainer.get_num_updates() + block
        batches = trainer.get_train_iterator(epoch=1, load_dataset=False)
        with observed_by(watch):
            fairseq_cli.train.train(trainer.cfg, trainer, trainer.task, batches)
        return [1000 * (watch.finished - watch.started) / block]

    return measure


def translation(bench: Bench) -> Iterator[dict[str, Any]]:
    """Our Transformer and its loss against fairseq's own: an update, and a batch of beam search."""
    scale, rows = bench.scale or "mini", ("transformer", "transformer_define")
    for name, autocast in PRECISIONS.items():
        cases = {}
        for case, row in (("fairseq", rows[0]), *zip(rows, rows, strict=True)):
            overrides, build = [f"task.autocast={autocast}"], None
            if case == "fairseq":
                overrides.append("criterion=label_smoothed_cross_entropy")
            config = bench.config(f"table_3/{row}", scale, *overrides)
            if case == "fairseq":
                build = partial(fairseq_transformer, config.model)
            cases[case] = bench.updates(config, bench.turns(7) + 3, build=build)
        yield bench.group(f"update, scale {scale}, {name}", cases, rounds=7)
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


PARTS: dict[str, Part] = {
    part.__name__: part for part in (unit, share, steps, softmax, loop, translation)
}

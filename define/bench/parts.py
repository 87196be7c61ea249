"""The parts of `define bench`: each measures its cases against each other."""

import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from fairseq import utils
from fairseq.dataclass.configs import GenerationConfig
from fairseq.models.transformer import TransformerModelBase
from fairseq.tasks import FairseqTask
from torch import Tensor, nn

from define.analysis import published
from define.bench.harness import LENGTH, STREAMS, Bench, Part, Updates, natural_text, zipf_tokens
from define.bench.loops import Stopwatch, bare_loop, train_loop
from define.core.embedding import DefineEmbedding
from define.core.inputs import InputOutputConfig, build_input
from define.core.outputs import build_output
from define.core.registry import config_from
from define.core.unit import DefineUnit, UnitConfig
from define.models.transformer import DefineTransformerConfig
from define.tasks.observer import Observed
from define.train.compose import compose
from define.train.counting import own_experiments
from define.train.observer import PeakMemory
from define.train.timing import device_clock, in_child, peak_memory_mib

UNITS = ((256, 1024, 256, 3), (384, 1024, 384, 7), (512, 1024, 512, 11), (384, 4096, 384, 3))
"""(n, k, m, N) of the units that are timed; g_max is `MAX_GROUPS`."""
MAX_GROUPS = 32
TABLES = ("1a", "1c", "2", "3")
PRECISIONS = {"fp32": "none", "bf16": "bf16"}
"""What a group's title says -> task.autocast."""


def unit(bench: Bench) -> Iterator[dict[str, Any]]:
    """The unit, and the input layer around it, against the unit's bare matrix products."""
    tokens, corpus = natural_text()
    distinct, tokens = len(tokens.unique()), tokens.to(bench.device)
    for size in UNITS[:1] if bench.quick else UNITS:
        config = UnitConfig(*size, MAX_GROUPS)
        module = DefineUnit(config).to(bench.device)
        table = nn.Embedding(corpus["types"], config.n, device=bench.device)
        embedding = DefineEmbedding(table, module)
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


PARTS: dict[str, Part] = {
    part.__name__: part for part in (unit, share, steps, softmax, loop, translation, memory)
}

"""What a run would be: its config, its size and its cost, without training or allocating it."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from operator import mul
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from torch import nn

from define.core.outputs import projections, tables
from define.core.transformer import Outline
from define.core.transformer_xl import TransformerXLConfig
from define.data import pairs
from define.data.corpora import META, get_spec
from define.data.pairs import PairCorpus
from define.errors import InputError
from define.evaluation import decodings
from define.train.counting import Types, build, corpus_types, parameters
from define.train.run_folder import existing, write_configs

SHOWN = ("run", "seed", "task", "model", "criterion", "optimizer", "lr_scheduler", "optimization")
FLOPS_PER_PRODUCT = 6
"""Of a training step, per token and product of two numbers: 2 forward, 4 backward."""


def products(config: DictConfig, types: Types) -> dict[str, int]:
    """Products of two numbers per token in a forward pass, by what takes them; upper bounds.

    weights: every matrix once, a projection once where it maps the input and once at the output. A
        table is a look-up at the input and a product at the output. A token meets only its own
        cluster's tables and projections, and the unit is run once per distinct token of a batch:
        that all are counted for every token makes it a bound. Elementwise products are neglected.
    source, target: the same of a translation model, per token of one side. The decoder makes keys
        and values of the encoder's output: they are the source's.
    attention: only for a Transformer-XL. Scores by content and by distance, and the weighted sum,
        over memory and segment, masked places included; keys and values of the memory, which are
        computed anew for every segment.
    Raises:
        InputError: the model cannot be built.
    """
    model = build(config.model, types)
    if isinstance(model, Outline):
        return _by_side(model)
    at_output = {id(p) for p in model.output.parameters()}
    weights = _matrices(model, model.embedding.map, at_output)
    weights += sum(p.numel() for p in projections(model.embedding.map) if id(p) in at_output)
    c = model.config
    if not isinstance(c, TransformerXLConfig):
        return {"weights": weights}
    memory, segment, width = c.memory_length, config.task.bptt, c.heads * c.head_dim
    scores = 3 * (memory + segment) * width
    remembered = 2 * c.model_dim * width * memory // segment
    return {"weights": weights, "attention": c.layers * (scores + remembered)}


def _matrices(module: nn.Module, map: nn.Module, at_output: Container[int] = ()) -> int:
    """Weights of all matrices, but the tables of the input's map unless the output has them too."""
    looked_up = {id(table) for table in tables(map) if id(table) not in at_output}
    return sum(p.numel() for p in module.parameters() if p.ndim > 1 and id(p) not in looked_up)


def _by_side(model: Outline) -> dict[str, int]:
    encoder, decoder = model.encoder, model.decoder
    at_output = {id(p) for layer in model.output_layers for p in layer.parameters()}
    # Keys and values of the encoder's output; the matrix makes the queries too.
    read_source = sum(
        2 * layer.multihead_attn.in_proj_weight.numel() // 3 for layer in decoder.layers
    )
    return {
        "source": _matrices(encoder, encoder.embed_tokens.map) + read_source,
        "target": _matrices(decoder, decoder.embed_tokens.map, at_output) - read_source,
    }


def attention_products(model_config: DictConfig, source: float, target: float) -> dict[str, float]:
    """Products per token for a translation's attention, masked places included, padding not.

    Args:
        source, target: subwords of a sentence.
    """
    per_place = 2 * model_config.model_dim  # a score and a weighted sum
    return {
        "source": model_config.encoder_layers * per_place * source,
        "target": model_config.decoder_layers * per_place * (source + target),
    }


@dataclass(frozen=True)
class Budget:
    """What a training run takes, in numbers; None where they depend on an unprepared corpus.

    Attributes:
        tokens_per_update: over all devices; of a translation, on either side, padding included.
        updates: a bound from below where the last batches of an epoch are cut.
        tokens: read in training, by side: one number, or source and target of a translation.
        products: per token, as `products` has them; of a translation by side.
    """

    tokens_per_update: int
    updates: int | None
    tokens: tuple[int, ...] | None
    products: Mapping[str, int]

    @property
    def operations(self) -> float | None:
        """Floating-point operations of the training: a bound, but for a translation's attention."""
        if self.tokens is None:
            return None
        by_side = list(self.products.values())
        if len(self.tokens) == 1:
            by_side = [sum(by_side)]
        return FLOPS_PER_PRODUCT * sum(map(mul, by_side, self.tokens))


def budget(config: DictConfig, types: Types, corpus: PairCorpus | None = None) -> Budget:
    """The budget of a run.

    Not counted: logits that the softmax computes a second time to save memory.

    Args:
        corpus: that of a translation run, if it is prepared.
    Raises:
        InputError: the model cannot be built, or batches have no number of tokens.
    """
    updates, epochs = config.optimization.max_update or None, config.optimization.max_epoch
    if isinstance(types, int):
        per_update = config.dataset.batch_size * config.task.bptt
        known = config.task.train_tokens or get_spec(config.run.corpus).tokens.get("train")
        train = (known,) if known else None
    else:
        if not config.dataset.max_tokens:
            raise InputError(
                f"dataset.max_tokens = {config.dataset.max_tokens} must be at least 1 for updates "
                f"of known size"
            )
        devices = config.distributed_training.distributed_world_size
        per_update = config.dataset.max_tokens * config.optimization.update_freq[0] * devices
        train = _train_tokens(corpus)
    tokens = None
    if updates:
        tokens = (updates * per_update,) * (1 if isinstance(types, int) else 2)
    elif train:
        tokens = tuple(epochs * side for side in train)
        whole, rest = divmod(max(tokens), per_update)
        # Streams leave a rest over; of sentences, it makes an update.
        updates = whole + (rest > 0 and not isinstance(types, int))
    return Budget(per_update, updates, tokens, products(config, types))


def _train_tokens(corpus: PairCorpus | None) -> tuple[int, int] | None:
    """Of source and target."""
    return corpus and (corpus.meta["source_tokens"]["train"], corpus.meta["tokens"]["train"])


def cost(config: DictConfig, types: Types, corpus: PairCorpus | None = None) -> dict[str, str]:
    """The budget of a run, as label -> text.

    Args and errors: as `budget`.
    """
    numbers = budget(config, types, corpus)
    if isinstance(types, int):
        return _stream_cost(config, numbers)
    return _batch_cost(config, numbers, types, corpus)


def _stream_cost(config: DictConfig, numbers: Budget) -> dict[str, str]:
    streams, bptt = config.dataset.batch_size, config.task.bptt
    about = "about " if config.task.random_bptt else ""
    of = f"({streams} streams x {bptt})"
    lines = {"tokens per update": f"{about}{numbers.tokens_per_update:,} {of}"}
    by_updates = bool(config.optimization.max_update)
    if numbers.updates:
        lines["updates"] = f"{'' if by_updates else 'about '}{numbers.updates:,}"
        if not by_updates:
            lines["epochs"] = f"{config.optimization.max_epoch:,}"
    for what, count in numbers.products.items():
        lines[f"products per token, {what}"] = f"at most {count:,}"
    if numbers.tokens:
        (tokens,) = numbers.tokens
        lines["tokens"] = f"{about if by_updates else ''}{tokens:,}"
        lines["floating-point operations"] = f"at most {numbers.operations:.2e}"
    return lines


def _batch_cost(
    config: DictConfig, numbers: Budget, types: tuple[int, int], corpus: PairCorpus | None
) -> dict[str, str]:
    max_tokens, batches = config.dataset.max_tokens, config.optimization.update_freq[0]
    devices = config.distributed_training.distributed_world_size
    per_update = numbers.tokens_per_update
    lines = {
        "types": f"{types[0]:,} source and {types[1]:,} target"
        + ("" if corpus else ", nominal: the corpus is not prepared"),
        "tokens per update": f"at most {per_update:,} on either side, padding included",
        "batches per update": f"{batches} on each device = {per_update:,} tokens / "
        f"({max_tokens:,} x {devices} device{'s' if devices > 1 else ''})"
        + (", as run.tokens_per_update says" if config.run.tokens_per_update else ""),
    }
    train = _train_tokens(corpus)
    if config.optimization.max_update:
        lines["updates"] = f"{numbers.updates:,}"
        if train:
            lines["epochs"] = f"at most {numbers.tokens[0] / max(train):,.1f}"
    elif train:
        lines["updates"] = f"at least {numbers.updates:,}"
        lines["epochs"] = f"{config.optimization.max_epoch:,}"
    for side, count in numbers.products.items():
        lines[f"products per {side} token"] = f"at most {count:,}, and those of the attention"
    if train:
        lengths = [side / corpus.meta["pairs"]["train"] for side in train]
        attention = attention_products(config.model, *lengths)
        lines["products of the attention"] = (
            f"about {attention['source']:,.0f} per source and {attention['target']:,.0f} per "
            f"target token, in sentences of the corpus' mean lengths, {lengths[0]:.1f} and "
            f"{lengths[1]:.1f}"
        )
    else:
        lines["products of the attention"] = (
            "not counted: they grow with the length of the sentences; prepare the corpus"
        )
    if numbers.tokens:
        lines["tokens"] = "at most " + " and ".join(f"{side:,}" for side in numbers.tokens)
        lines["floating-point operations"] = (
            f"at most {numbers.operations:.2e}, and the attention's"
        )
    return lines


def types_of(config: DictConfig) -> tuple[Types, PairCorpus | None]:
    """V of a run's corpus, and the corpus if it is a parallel one and prepared.

    A parallel corpus has the sizes of its dictionaries if it is prepared, else nominal ones.
    """
    corpus = _prepared(config)
    if corpus:
        return (corpus.source_types, corpus.types), corpus
    return corpus_types(config.run.corpus), None


def _prepared(config: DictConfig) -> PairCorpus | None:
    """The corpus of a translation run, if it is there."""
    folder = Path(config.task.data)
    if config.run.corpus in pairs.PAIRS and (folder / META).is_file():
        return pairs.load(folder)
    return None


def show(config: DictConfig) -> None:
    """Prints the run; writes the config files of a new one, for fairseq's own commands.

    Raises:
        InputError: an impossible model, or the folder of another run.
    """
    record = existing(config)
    console = Console()
    types, corpus = types_of(config)
    counts = parameters(config.model, types)
    shown = OmegaConf.masked_copy(config, [*SHOWN, "dataset", "common", "checkpoint"])
    text = OmegaConf.to_yaml(shown, resolve=True)
    # Printed itself, Syntax would cut long lines off at the terminal's edge.
    yaml = Syntax(text, "yaml", background_color="default").highlight(text)
    console.print(yaml, soft_wrap=True)
    size = f"{types:,}" if isinstance(types, int) else f"{types[0]:,} + {types[1]:,}"
    table = Table(title=f"Parameters, {size} types", title_justify="left", box=None)
    for part in counts:
        table.add_column(part, justify="right")
    table.add_row(*(f"{count:,}" for count in counts.values()))
    console.print(table)
    lines = Table(title="Cost", title_justify="left", box=None, show_header=False)
    for label, text in cost(config, types, corpus).items():
        lines.add_row(label, text)
    console.print(lines)
    if not isinstance(types, int):
        console.print(_translations(config))
    folder = Path(config.run.dir)
    # A run that was started has its config files; a dry run changes none of them.
    path = folder / "fairseq.yaml" if record else write_configs(config, folder)
    console.print(
        f"\nNothing was trained. fairseq's part of the config is in {path}:\n"
        f"  fairseq-hydra-train --config-dir {path.parent} --config-name {path.stem}",
        soft_wrap=True,
    )


def _translations(config: DictConfig) -> Table:
    """How the trained model will translate."""
    lines = Table(title="Translations", title_justify="left", box=None, show_header=False)
    found = decodings.parse(OmegaConf.to_container(config.run.translations))
    for name, how in found.items():
        lines.add_row(name, ", ".join(f"{key} {value}" for key, value in how.settings().items()))
    return lines

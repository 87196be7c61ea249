"""The cost of a run, without training or allocating it."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from operator import mul
from pathlib import Path

from omegaconf import DictConfig
from torch import nn

from define.core.outputs import projections, tables
from define.core.transformer import Outline
from define.core.transformer_xl import TransformerXLConfig
from define.data.parallel import pairs
from define.data.parallel.pairs import PairCorpus
from define.data.prepared import META
from define.data.text.corpora import get_spec
from define.errors import InputError
from define.train.counting import Types, build, corpus_types

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
    by_updates = bool(config.optimization.max_update)
    lines = _stream_size(config) if isinstance(types, int) else _batch_size(config, numbers)
    if numbers.updates:
        bound = "" if by_updates else "about " if isinstance(types, int) else "at least "
        lines["updates"] = f"{bound}{numbers.updates:,}"
    if not by_updates:
        lines["epochs"] = f"{config.optimization.max_epoch:,}"
    elif train := _train_tokens(corpus):
        lines["epochs"] = f"at most {numbers.tokens[0] / max(train):,.1f}"
    if numbers.tokens:
        lines["tokens"] = " and ".join(f"{side:,}" for side in numbers.tokens)
        if len(numbers.tokens) > 1:
            lines["tokens"] = f"at most {lines['tokens']}"
        elif by_updates and config.task.random_bptt:
            lines["tokens"] = f"about {lines['tokens']}"
    counts = ", ".join(f"{count:,} {what}" for what, count in numbers.products.items())
    lines["products per token"] = f"at most {counts}"
    if not isinstance(types, int):
        lines["of the attention"] = _attention(config, corpus)
    if numbers.tokens:
        rest = "" if isinstance(types, int) else ", and the attention's"
        lines["FLOPs"] = f"at most {numbers.operations:.2e}{rest}"
    return lines


def _stream_size(config: DictConfig) -> dict[str, str]:
    streams, bptt = config.dataset.batch_size, config.task.bptt
    about = "about " if config.task.random_bptt else ""
    return {"tokens per update": f"{about}{streams * bptt:,} ({streams} streams x {bptt})"}


def _batch_size(config: DictConfig, numbers: Budget) -> dict[str, str]:
    devices = config.distributed_training.distributed_world_size
    batches, max_tokens = config.optimization.update_freq[0], config.dataset.max_tokens
    return {
        "tokens per update": f"at most {numbers.tokens_per_update:,} on either side, with padding",
        "batches per update": f"{batches} on each of {devices} device{'s' * (devices > 1)}, of at "
        f"most {max_tokens:,} tokens",
    }


def _attention(config: DictConfig, corpus: PairCorpus | None) -> str:
    if not corpus:
        return "unknown: prepare the corpus, which gives the lengths of sentences"
    lengths = [side / corpus.meta["pairs"]["train"] for side in _train_tokens(corpus)]
    source, target = attention_products(config.model, *lengths).values()
    return f"about {source:,.0f} source, {target:,.0f} target, at mean lengths of sentences"


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

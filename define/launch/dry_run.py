"""What a run would be: its config, its size and its cost, without training or allocating it."""

from collections.abc import Container
from operator import mul
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from torch import nn

from define.core.outputs import projections, tables
from define.core.transformer_xl import TransformerXLConfig
from define.data import pairs
from define.data.corpora import META, get_spec
from define.data.pairs import PairCorpus
from define.errors import InputError
from define.launch import decoding
from define.launch.counting import Types, build, corpus_types, parameters
from define.launch.run_folder import existing, write_configs
from define.launch.workloads import workload
from define.models.transformer import DefineTransformer

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
    if isinstance(model, DefineTransformer):
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


def _by_side(model: DefineTransformer) -> dict[str, int]:
    encoder, decoder = model.encoder, model.decoder
    at_output = {id(p) for layer in model.output_layers for p in layer.parameters()}
    read_source = sum(
        linear.weight.numel()
        for layer in decoder.layers
        for linear in (layer.encoder_attn.k_proj, layer.encoder_attn.v_proj)
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


def cost(config: DictConfig, types: Types, corpus: PairCorpus | None = None) -> dict[str, str]:
    """The budget of a run, as label -> text.

    Not counted: logits that the softmax computes a second time to save memory.

    Args:
        corpus: that of a translation run, if it is prepared.
    Raises:
        InputError: the model cannot be built, or batches have no number of tokens.
    """
    if isinstance(types, int):
        return _stream_cost(config, types)
    return _batch_cost(config, types, corpus)


def _stream_cost(config: DictConfig, num_types: int) -> dict[str, str]:
    streams, bptt = config.dataset.batch_size, config.task.bptt
    tokens_per_update = streams * bptt
    about = "about " if config.task.random_bptt else ""
    budget = {"tokens per update": f"{about}{tokens_per_update:,} ({streams} streams x {bptt})"}
    train_tokens = config.task.train_tokens or get_spec(config.run.corpus).tokens.get("train")
    tokens = None
    if config.optimization.max_update:
        tokens = config.optimization.max_update * tokens_per_update
        budget["updates"] = f"{config.optimization.max_update:,}"
    elif train_tokens:
        tokens = config.optimization.max_epoch * train_tokens
        budget["updates"] = f"about {tokens // tokens_per_update:,}"
        budget["epochs"] = f"{config.optimization.max_epoch:,}"
    per_token = products(config, num_types)
    for what, count in per_token.items():
        budget[f"products per token, {what}"] = f"at most {count:,}"
    if tokens:
        budget["tokens"] = f"{about}{tokens:,}" if config.optimization.max_update else f"{tokens:,}"
        operations = FLOPS_PER_PRODUCT * sum(per_token.values()) * tokens
        budget["floating-point operations"] = f"at most {operations:.2e}"
    return budget


def _batch_cost(
    config: DictConfig, types: tuple[int, int], corpus: PairCorpus | None
) -> dict[str, str]:
    max_tokens, batches = config.dataset.max_tokens, config.optimization.update_freq[0]
    if not max_tokens:
        raise InputError(
            f"dataset.max_tokens = {max_tokens} must be at least 1 for updates of known size"
        )
    devices = config.distributed_training.distributed_world_size
    per_update = max_tokens * batches * devices
    budget = {
        "types": f"{types[0]:,} source and {types[1]:,} target"
        + ("" if corpus else ", nominal: the corpus is not prepared"),
        "tokens per update": f"at most {per_update:,} on either side, padding included",
        "batches per update": f"{batches} on each device = {per_update:,} tokens / "
        f"({max_tokens:,} x {devices} device{'s' if devices > 1 else ''})"
        + (", as run.tokens_per_update says" if config.run.tokens_per_update else ""),
    }
    train = corpus and (corpus.meta["source_tokens"]["train"], corpus.meta["tokens"]["train"])
    tokens = None
    if updates := config.optimization.max_update:
        tokens = (updates * per_update,) * 2
        budget["updates"] = f"{updates:,}"
        if train:
            budget["epochs"] = f"at most {tokens[0] / max(train):,.1f}"
    elif train:
        tokens = tuple(config.optimization.max_epoch * side for side in train)
        budget["updates"] = f"at least {-(-max(tokens) // per_update):,}"
        budget["epochs"] = f"{config.optimization.max_epoch:,}"
    per_token = products(config, types)
    for side, count in per_token.items():
        budget[f"products per {side} token"] = f"at most {count:,}, and those of the attention"
    if train:
        lengths = [side / corpus.meta["pairs"]["train"] for side in train]
        attention = attention_products(config.model, *lengths)
        budget["products of the attention"] = (
            f"about {attention['source']:,.0f} per source and {attention['target']:,.0f} per "
            f"target token, in sentences of the corpus' mean lengths, {lengths[0]:.1f} and "
            f"{lengths[1]:.1f}"
        )
    else:
        budget["products of the attention"] = (
            "not counted: they grow with the length of the sentences; prepare the corpus"
        )
    if tokens:
        operations = FLOPS_PER_PRODUCT * sum(map(mul, per_token.values(), tokens))
        budget["tokens"] = "at most " + " and ".join(f"{side:,}" for side in tokens)
        budget["floating-point operations"] = f"at most {operations:.2e}, and the attention's"
    return budget


def _prepared(config: DictConfig) -> PairCorpus | None:
    """The corpus of a translation run, if it is there."""
    folder = Path(config.task.data)
    if config.run.corpus in pairs.PAIRS and (folder / META).is_file():
        return pairs.load(folder)
    return None


def show(config: DictConfig) -> None:
    """Prints the run; writes its config files, so that fairseq's own commands can train it too.

    A parallel corpus has the sizes of its dictionaries if it is prepared, else nominal ones.

    Raises:
        InputError: an impossible model, or the folder of another run.
    """
    existing(config)
    console = Console()
    corpus = _prepared(config)
    types = workload(config).types(corpus) if corpus else corpus_types(config.run.corpus)
    counts = parameters(config.model, types)
    budget = cost(config, types, corpus)
    shown = OmegaConf.masked_copy(config, [*SHOWN, "dataset", "common", "checkpoint"])
    console.print(
        Syntax(OmegaConf.to_yaml(shown, resolve=True), "yaml", background_color="default")
    )
    size = f"{types:,}" if isinstance(types, int) else f"{types[0]:,} + {types[1]:,}"
    table = Table(title=f"Parameters, {size} types", title_justify="left", box=None)
    for part in counts:
        table.add_column(part, justify="right")
    table.add_row(*(f"{count:,}" for count in counts.values()))
    console.print(table)
    lines = Table(title="Cost", title_justify="left", box=None, show_header=False)
    for label, text in budget.items():
        lines.add_row(label, text)
    console.print(lines)
    if not isinstance(types, int):
        console.print(_translations(config))
    path = write_configs(config, Path(config.run.dir))
    console.print(
        f"\nNothing was trained. fairseq's part of the config is in {path}:\n"
        f"  fairseq-hydra-train --config-dir {path.parent} --config-name {path.stem}",
        soft_wrap=True,
    )


def _translations(config: DictConfig) -> Table:
    """How the trained model will translate."""
    lines = Table(title="Translations", title_justify="left", box=None, show_header=False)
    found = decoding.parse(OmegaConf.to_container(config.run.translations))
    for name, how in found.items():
        lines.add_row(name, ", ".join(f"{key} {value}" for key, value in how.settings().items()))
    return lines

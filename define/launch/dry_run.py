"""What a run would be: its config, its size and its cost, without training or allocating it."""

from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from define.core.outputs import projections, tables
from define.core.registry import build_model
from define.core.transformer_xl import TransformerXLConfig
from define.data.corpora import get_spec
from define.launch.counting import corpus_types, parameters
from define.launch.run_folder import existing, write_configs

SHOWN = ("run", "seed", "task", "model", "criterion", "optimizer", "lr_scheduler", "optimization")
FLOPS_PER_PRODUCT = 6
"""Of a training step, per token and product of two numbers: 2 forward, 4 backward."""


def products(config: DictConfig, num_types: int) -> dict[str, int]:
    """Products of two numbers per token in a forward pass, by what takes them; upper bounds.

    weights: every matrix once, a projection once where it maps the input and once at the output. A
        table is a look-up at the input and a product at the output. A token meets only its own
        cluster's tables and projections, and the unit is run once per distinct token of a batch:
        that all are counted for every token makes it a bound. Elementwise products are neglected.
    attention: only for a Transformer-XL. Scores by content and by distance, and the weighted sum,
        over memory and segment, masked places included; keys and values of the memory, which are
        computed anew for every segment.
    Raises:
        InputError: the model cannot be built.
    """
    with torch.device("meta"):
        model = build_model(config.model, num_types)
    at_output = {id(p) for p in model.output.parameters()}
    weights = sum(p.numel() for p in model.parameters() if p.ndim > 1)
    weights -= sum(t.numel() for t in tables(model.embedding.map) if id(t) not in at_output)
    weights += sum(p.numel() for p in projections(model.embedding.map) if id(p) in at_output)
    c = model.config
    if not isinstance(c, TransformerXLConfig):
        return {"weights": weights}
    memory, segment, width = c.memory_length, config.task.bptt, c.heads * c.head_dim
    scores = 3 * (memory + segment) * width
    remembered = 2 * c.model_dim * width * memory // segment
    return {"weights": weights, "attention": c.layers * (scores + remembered)}


def cost(config: DictConfig, num_types: int) -> dict[str, str]:
    """The budget of a run, as label -> text.

    Not counted: logits that the softmax computes a second time to save memory.
    """
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


def show(config: DictConfig) -> None:
    """Prints the run; writes its config files, so that fairseq's own commands can train it too.

    Raises:
        InputError: an impossible model, or the folder of another run.
    """
    existing(config)
    console = Console()
    num_types = corpus_types(config.run.corpus)
    counts = parameters(config.model, num_types)
    shown = OmegaConf.masked_copy(config, [*SHOWN, "dataset", "common", "checkpoint"])
    console.print(
        Syntax(OmegaConf.to_yaml(shown, resolve=True), "yaml", background_color="default")
    )
    table = Table(title=f"Parameters, {num_types:,} types", title_justify="left", box=None)
    for part in counts:
        table.add_column(part, justify="right")
    table.add_row(*(f"{count:,}" for count in counts.values()))
    console.print(table)
    budget = Table(title="Cost", title_justify="left", box=None, show_header=False)
    for label, text in cost(config, num_types).items():
        budget.add_row(label, text)
    console.print(budget)
    path = write_configs(config, Path(config.run.dir))
    console.print(
        f"\nNothing was trained. fairseq's part of the config is in {path}:\n"
        f"  fairseq-hydra-train --config-dir {path.parent} --config-name {path.stem}",
        soft_wrap=True,
    )

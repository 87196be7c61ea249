"""What a run would be: its config, its size and its cost, without training or allocating it."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from define.data.corpora import get_spec
from define.launch.counting import parameters
from define.launch.run_folder import existing, write_configs

SHOWN = ("run", "seed", "task", "model", "criterion", "optimizer", "lr_scheduler", "optimization")
FLOPS_PER_PARAMETER = 6
"""Of a training step, per token and weight of a product: 2 forward, 4 backward."""


def cost(config: DictConfig, counts: dict[str, int], num_types: int) -> dict[str, str]:
    """The budget of a run, as label -> text; every token costs each weight of a product once.

    The table is a look-up at the input and a product at the output; its bias and the unit's small
    vectors are neglected. The unit is counted as if it were run for every token: an upper bound,
    since it is run once per distinct token of a batch.
    """
    streams, bptt = config.dataset.batch_size, config.task.bptt
    tokens_per_update = streams * bptt
    spec = get_spec(config.run.corpus)
    train_tokens = config.task.train_tokens or spec.tokens.get("train")
    budget = {"tokens per update": f"about {tokens_per_update:,} ({streams} streams x {bptt})"}
    tokens = None
    if config.optimization.max_update:
        tokens = config.optimization.max_update * tokens_per_update
        budget["updates"] = f"{config.optimization.max_update:,}"
    elif train_tokens:
        tokens = config.optimization.max_epoch * train_tokens
        budget["updates"] = f"about {tokens // tokens_per_update:,}"
        budget["epochs"] = f"{config.optimization.max_epoch:,}"
    weights = counts["total"] - num_types
    budget["weights in products"] = f"{weights:,}"
    if tokens:
        budget["tokens"] = f"{tokens:,}"
        budget["floating-point operations"] = (
            f"at most {FLOPS_PER_PARAMETER * weights * tokens:.2e}"
        )
    return budget


def show(config: DictConfig) -> None:
    """Prints the run; writes its config files, so that fairseq's own commands can train it too.

    Raises:
        InputError: an impossible model, or the folder of another run.
    """
    existing(config)
    console = Console()
    num_types = get_spec(config.run.corpus).types or 10_000
    counts = parameters(config.model, num_types)
    shown = OmegaConf.masked_copy(config, [*SHOWN, "dataset", "common", "checkpoint"])
    console.print(
        Syntax(OmegaConf.to_yaml(shown, resolve=True), "yaml", background_color="default")
    )
    table = Table(title="Parameters", title_justify="left", box=None)
    for part in counts:
        table.add_column(part, justify="right")
    table.add_row(*(f"{count:,}" for count in counts.values()))
    console.print(table)
    budget = Table(title="Cost", title_justify="left", box=None, show_header=False)
    for label, text in cost(config, counts, num_types).items():
        budget.add_row(label, text)
    console.print(budget)
    path = write_configs(config, Path(config.run.dir))
    console.print(
        f"\nNothing was trained. fairseq's part of the config is in {path}:\n"
        f"  fairseq-hydra-train --config-dir {path.parent} --config-name {path.stem}",
        soft_wrap=True,
    )

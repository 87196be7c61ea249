"""Options of our tasks; needs no fairseq."""

from dataclasses import dataclass, field

from define.data.text.streams import bptt_lengths
from define.errors import InputError
from define.tasks.observer import AUTOCAST_HELP, check_autocast


@dataclass
class LanguageModelingOptions:
    data: str = field(default="???", metadata={"help": "folder written by `define prepare`"})
    train_tokens: int = field(
        default=0, metadata={"help": "train on only this many tokens from the start (0: all)"}
    )
    bptt: int = field(
        default=70,
        metadata={"help": "length of truncated back-propagation through time, in tokens"},
    )
    random_bptt: bool = field(
        default=False, metadata={"help": "draw each batch's length around bptt (AWD-LSTM)"}
    )
    short_bptt_probability: float = field(
        default=0.05, metadata={"help": "probability that random_bptt halves the base length"}
    )
    bptt_std: float = field(
        default=5.0, metadata={"help": "standard deviation of random lengths, in tokens"}
    )
    min_bptt: int = field(default=5, metadata={"help": "shortest random length"})
    scale_lr_by_length: bool = field(
        default=False, metadata={"help": "multiply each batch's learning rate by length / bptt"}
    )
    autocast: str = field(default="none", metadata={"help": AUTOCAST_HELP})


def check(cfg: LanguageModelingOptions) -> None:
    """Raises InputError for an invalid value."""
    check_autocast(cfg.autocast)
    if cfg.bptt < 1:
        raise InputError(f"task.bptt = {cfg.bptt} must be at least 1")
    if cfg.train_tokens < 0:
        raise InputError(
            f"task.train_tokens = {cfg.train_tokens} must not be negative; 0 means all tokens"
        )
    if not (cfg.bptt_std >= 0 and 0 <= cfg.short_bptt_probability <= 1):
        raise InputError(
            f"task.bptt_std = {cfg.bptt_std} must not be negative, and "
            f"task.short_bptt_probability = {cfg.short_bptt_probability} must be between 0 and 1"
        )


def require_streams(streams: int | None) -> None:
    """Raises InputError unless the number of streams is set."""
    if not streams:
        raise InputError(
            "dataset.batch_size, the number of streams per worker, is not set; set it to a number"
        )


def window_lengths(
    cfg: LanguageModelingOptions, steps: int, train: bool, seed: int, epoch: int
) -> list[int]:
    """Window lengths of an epoch, over streams of `steps` tokens.

    Raises:
        InputError: see `bptt_lengths`.
    """
    return bptt_lengths(
        steps,
        cfg.bptt,
        seed=seed,
        epoch=epoch,
        random=train and cfg.random_bptt,
        short_probability=cfg.short_bptt_probability,
        std=cfg.bptt_std,
        minimum=cfg.min_bptt,
    )


@dataclass
class TranslationOptions:
    autocast: str = field(default="none", metadata={"help": AUTOCAST_HELP})

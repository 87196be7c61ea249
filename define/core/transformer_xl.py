"""Transformer-XL (Dai et al. 2019) with any input and output layer.

Source: kimiyoung/transformer-xl, pytorch/mem_transformer.py (attention type 0, post-norm) and
pytorch/train.py (initialisation).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from define.core.inputs import InputOutputConfig, build_input, option
from define.core.language_model import LanguageModelOutput
from define.core.outputs import build_output, projections, tables
from define.core.relative_attention import (
    KERNELS,
    RelativeAttention,
    attention_mask,
    sinusoids,
)
from define.core.unit import require_choice, require_probability
from define.errors import InputError

State = tuple[Tensor, ...]
"""Each layer's memory, (M, B, d): its inputs at the latest M positions."""


@dataclass(frozen=True)
class Lengths:
    """Lengths that may differ between training and evaluation; no parameter depends on them.

    Args:
        memory: positions kept from one segment to the next.
        clamp: largest distance that is distinguished; 0 or less for no limit.
        same_length: every token sees the latest `memory` positions including its own; otherwise it
            sees the whole memory and its segment up to itself.
    Raises:
        InputError: a negative memory, or `same_length` without memory.
    """

    memory: int
    clamp: int = 0
    same_length: bool = False

    def __post_init__(self) -> None:
        if self.memory < 0:
            raise InputError(f"model.memory_length = {self.memory} must not be negative")
        if self.same_length and self.memory == 0:
            raise InputError(
                "model.memory_length = 0 must be at least 1 with same_length, because a token then "
                "sees memory_length positions including its own"
            )


@dataclass
class TransformerXLConfig(InputOutputConfig):
    """Sizes, dropouts and lengths; defaults are the published base recipe (run_wt103_base.sh).

    Its cutoffs are left out because they depend on the corpus.
    """

    map: str = option("projective", "tokens -> e_i: standard (a V x n table), adaptive, projective")
    output: str = option("projective", "output layer: standard, adaptive, projective")
    input: str = option(
        "table", "after the map: table (nothing), linear, mlp (n -> k -> m), define"
    )
    map_dim: int = option(410, "n, dimension of a token's row in the (first) table")
    projected_dim: int = option(410, "dimension that a projective map projects rows to")
    scale_embedding: bool = option(True, "multiply e_i by the square root of its dimension")
    model_dim: int = option(410, "d, width of the layers and of the input layer's output")
    inner_dim: int = option(2100, "width of the feed-forward networks")
    layers: int = option(16, "layers")
    heads: int = option(10, "attention heads")
    head_dim: int = option(41, "dimension of a head")
    dropout: float = option(0.1, "dropout everywhere except the attention probabilities")
    attention_dropout: float = option(0.0, "dropout of the attention probabilities")
    memory_length: int = option(150, "positions of earlier segments that each layer keeps")
    clamp_length: int = option(-1, "largest distance that is distinguished; 0 or less: no limit")
    same_length: bool = option(False, "let every token see the latest memory_length positions")
    init_std: float = option(0.02, "standard deviation of initial weights")
    projection_init_std: float = option(0.01, "standard deviation of initial projections")
    attention: str = option("auto", "kernel: fused, plain, or auto (fused without gradient)")

    def lengths(self) -> Lengths:
        """The lengths of training."""
        return Lengths(self.memory_length, self.clamp_length, self.same_length)


class TransformerXLLayer(nn.Module):
    """Attention, then a feed-forward network; each has a residual connection and a post-norm.

    Shapes:
        x (T, B, d) -> (T, B, d); the other arguments as `RelativeAttention`'s.
    """

    def __init__(self, config: TransformerXLConfig):
        super().__init__()
        dim, p = config.model_dim, config.dropout
        self.attention = RelativeAttention(
            dim, config.heads, config.head_dim, config.attention_dropout, config.attention
        )
        self.dropout = nn.Dropout(p)
        self.attention_norm = nn.LayerNorm(dim)
        self.feed_forward = nn.Sequential(
            nn.Linear(dim, config.inner_dim),
            nn.ReLU(inplace=True),
            nn.Dropout(p),
            nn.Linear(config.inner_dim, dim),
            nn.Dropout(p),
        )
        self.feed_forward_norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, *attention_arguments: Tensor) -> Tensor:
        x = self.attention_norm(x + self.dropout(self.attention(x, *attention_arguments)))
        return self.feed_forward_norm(x + self.feed_forward(x))


class TransformerXL(nn.Module):
    """Embedding, layers with a memory of their earlier inputs, output layer.

    The state is passed in and returned, detached; the module stores none. `lengths` are those of
    the config; assign others for an evaluation.

    Shapes:
        tokens (T, B) -> features (T, B, d); state: (M, B, d) per layer, M up to lengths.memory (a
        longer one is cut to its latest positions).
    Raises:
        InputError: invalid sizes, dropouts or lengths, or an input layer whose width is not d.
    """

    def __init__(self, config: TransformerXLConfig, num_types: int):
        super().__init__()
        for name in ("model_dim", "inner_dim", "layers", "heads", "head_dim"):
            if getattr(config, name) < 1:
                raise InputError(f"model.{name} = {getattr(config, name)} must be at least 1")
        for name in ("dropout", "attention_dropout"):
            require_probability(f"model.{name}", getattr(config, name))
        require_choice("model.attention", config.attention, KERNELS)
        if config.model_dim % 2:
            raise InputError(
                f"model.model_dim = {config.model_dim} must be even, because half of a distance's "
                f"encoding is sines and half cosines"
            )
        if config.input_dim != config.model_dim:
            raise InputError(
                f"the input layer's output has {config.input_dim} dimensions, but "
                f"model.model_dim = {config.model_dim}; set model.reduce_dim (without a unit: "
                f"model.projected_dim or model.map_dim) to the same"
            )
        self.config, self.lengths = config, config.lengths()
        self.embedding = build_input(config, num_types)
        self.u = nn.Parameter(torch.empty(config.heads, config.head_dim))
        self.v = nn.Parameter(torch.empty(config.heads, config.head_dim))
        self.layers = nn.ModuleList(TransformerXLLayer(config) for _ in range(config.layers))
        self.dropout = nn.Dropout(config.dropout)
        self.output = build_output(config, self.embedding, config.model_dim)
        self._set_initial_values()

    @torch.no_grad()
    def _set_initial_values(self) -> None:
        """Initialises as the source does; the DeFINE unit keeps its own initialisation."""
        std, output = self.config.init_std, self.output
        layers = (self.embedding.map, output)
        rows = [table for layer in layers for table in tables(layer)]
        if output.cluster_weight is not None:
            rows.append(output.cluster_weight)
        for parameter in (self.u, self.v, *rows):
            nn.init.normal_(parameter, std=std)
        for projection in (p for layer in layers for p in projections(layer)):
            nn.init.normal_(projection, std=self.config.projection_init_std)
        for module in self.layers.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=std)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                nn.init.normal_(module.weight, mean=1.0, std=std)
                nn.init.zeros_(module.bias)

    def zero_state(self, batch_size: int) -> State:
        """The state before the first token of every stream: an empty memory."""
        empty = self.u.new_zeros(0, batch_size, self.config.model_dim)
        return (empty,) * self.config.layers

    def forward(self, tokens_TB: Tensor, state: State | None = None) -> LanguageModelOutput:
        lengths, (num_queries, batch_size) = self.lengths, tokens_TB.shape
        if state is None:
            state = self.zero_state(batch_size)
        state = tuple(latest(memory, lengths.memory) for memory in state)
        num_keys = len(state[0]) + num_queries
        x = self.dropout(self.embedding(tokens_TB))
        window = lengths.memory if lengths.same_length else None
        mask = attention_mask(num_queries, num_keys, window, x.dtype, x.device)
        positions = sinusoids(num_keys, x.shape[-1], lengths.clamp, x.dtype, x.device)
        positions = self.dropout(positions)
        new_state = []
        for layer, memory in zip(self.layers, state, strict=True):
            new_state.append(remember(memory, x, lengths.memory))
            x = layer(x, memory, positions, mask, self.u, self.v)
        return LanguageModelOutput(self.dropout(x), x, tuple(new_state))


def latest(memory: Tensor, length: int) -> Tensor:
    """The last `length` positions, or all if there are fewer."""
    return memory[max(len(memory) - length, 0) :]


def remember(memory: Tensor, x: Tensor, length: int) -> Tensor:
    """The latest `length` positions of memory and x together, detached.

    Shapes:
        memory (M, B, d), x (T, B, d) -> (at most length, B, d).
    """
    old = memory[max(len(memory) + len(x) - length, 0) :]
    return torch.cat([old, latest(x, length)]).detach()

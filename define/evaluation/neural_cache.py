"""The neural cache of Grave et al. 2017b: a trained model that also predicts words seen of late.

Step t of a stream reads x_t and has the features h_t, which predict x_(t+1). The cache holds the
pairs (h_i, x_(i+1)) of the last `window` steps before t, and equations 3 to 5 give

    p(w) = (1 - lambda) p_model(w) + lambda p_cache(w)
    p_cache(w) proportional to the sum of exp(theta h_t . h_i) over the pairs with x_(i+1) = w

At the first step of a stream the cache is empty, and lambda counts as 0.

Shapes: L steps, B streams, P pairs, d the width of the features, G values of theta.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from define.core.outputs import IGNORED
from define.errors import InputError
from define.evaluation.perplexity import Score, mean, outputs
from define.evaluation.protocols import Protocol, applied

THETAS = (0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
LAMBDAS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6)
"""The grid of a search. Small thetas are for features of a large norm, as Transformer-XL's are."""

MAX_SCORES = 2**24
"""Products h_t . h_i held at a time, of all streams together."""


@dataclass(frozen=True)
class NeuralCache:
    """Settings of a cache.

    Args:
        window: pairs that it holds.
        theta: flatness; 0 counts words, more asks for features alike.
        weight: lambda, the cache's share.
    Raises:
        InputError: a value out of range.
    """

    window: int
    theta: float
    weight: float

    def __post_init__(self):
        if self.window < 1:
            raise InputError(f"neural cache: window = {self.window} must be at least 1")
        if not 0 <= self.theta < math.inf:
            raise InputError(f"neural cache: theta = {self.theta} must be 0 or more")
        if not 0 <= self.weight < 1:
            raise InputError(f"neural cache: lambda = {self.weight} must lie in [0, 1)")

    def settings(self) -> dict[str, int | float]:
        """The settings as plain values for a record."""
        return {
            "neural_cache_window": self.window,
            "neural_cache_theta": self.theta,
            "neural_cache_lambda": self.weight,
        }


def grid(window: int) -> list[NeuralCache]:
    """What a search compares: all of `THETAS` with all of `LAMBDAS`."""
    return [NeuralCache(window, theta, weight) for theta in THETAS for weight in LAMBDAS]


def protocol_with_cache(model: nn.Module, protocol: Protocol, window: int) -> Protocol:
    """The protocol with a default burn-in that also fills the cache, in whole windows.

    Raises:
        InputError: sliding windows, between which nothing could carry a cache.
    """
    if protocol.context is not None:
        raise InputError(
            f"the neural cache goes along a stream, but the windows of context = "
            f"{protocol.context} are independent; leave one of them out"
        )
    if protocol.burn_in is not None:
        return protocol
    windows = math.ceil(window / protocol.window)
    return replace(protocol, burn_in=protocol.burn_in_of(model) + windows * protocol.window)


@torch.no_grad()
def evaluate(
    model: nn.Module,
    tokens: np.ndarray,
    eos: int,
    caches: Sequence[NeuralCache],
    batch_size: int = 1,
    protocol: Protocol = Protocol(),  # noqa: B008 - frozen
    quiet: bool = True,
) -> dict[NeuralCache, Score]:
    """Scores a split with each of the caches, in one pass; arguments as `perplexity.evaluate`'s.

    Args:
        caches: settings that share one window.
    Raises:
        InputError: as `perplexity.evaluate`; or sliding windows.
        RuntimeError: not every token was scored.
    """
    (window,) = {cache.window for cache in caches}
    protocol = protocol_with_cache(model, protocol, window)
    thetas = list(dict.fromkeys(cache.theta for cache in caches))
    totals, scored, pairs = dict.fromkeys(caches, 0.0), 0, Pairs(window)
    with applied(model, protocol):
        for inputs, targets, output in outputs(model, tokens, eos, batch_size, protocol, quiet):
            cached = pairs.log_probs(inputs, targets, output.raw, thetas)
            where = targets != IGNORED
            plain = -model.output.nll(output.features[where], targets[where])
            scored += len(plain)
            for cache in caches:
                log_probs = mix(plain, cached[thetas.index(cache.theta)][where], cache.weight)
                totals[cache] -= log_probs.sum(dtype=torch.float64).item()
    return {cache: mean(total, scored, len(tokens)) for cache, total in totals.items()}


def mix(model: Tensor, cache: Tensor, weight: float) -> Tensor:
    """log((1 - lambda) exp(model) + lambda exp(cache)); model where cache is nan: an empty one."""
    if weight == 0:
        return model
    mixed = torch.logaddexp(model + math.log1p(-weight), cache + math.log(weight))
    return torch.where(cache.isnan(), model, mixed)


class Pairs:
    """The latest pairs of the streams; the words are read off the inputs, one step later."""

    def __init__(self, window: int):
        self.window = window
        self._features: Tensor | None = None
        self._words: Tensor | None = None

    def log_probs(
        self, inputs: Tensor, targets: Tensor, features: Tensor, thetas: Sequence[float]
    ) -> Tensor:
        """log p_cache of the targets, and the pairs of these steps taken in.

        Shapes:
            inputs and targets (L, B), features (L, B, d) -> (G, L, B): -inf for a word that is
            not in the cache, nan where it is empty.
        """
        features = features.to(torch.promote_types(features.dtype, torch.float32))
        if self._features is None:  # the first input of a stream ends no pair
            keys, words, seen = features[:-1], inputs[1:], 0
        else:
            keys = torch.cat([self._features, features[:-1]])
            words = torch.cat([self._words, inputs])
            seen = len(words) - len(inputs) + 1
        steps, batch_size = inputs.shape
        rows = max(1, MAX_SCORES // (batch_size * min(self.window + steps, len(words) + 1)))
        found = []
        for start in range(0, steps, rows):
            block = slice(start, start + rows)
            # Step i sees the pairs [seen + i - window, seen + i).
            end_L1 = seen + torch.arange(steps, device=inputs.device)[block, None]
            low, high = max(seen + start - self.window, 0), int(end_L1[-1])
            place_P = torch.arange(low, high, device=inputs.device)
            visible = (place_P < end_L1) & (place_P >= end_L1 - self.window)
            known = keys[low:high], words[low:high], visible
            found.append(word_log_probs(features[block], targets[block], *known, thetas))
        # The next step ends the pair of the last features.
        self._features = torch.cat([keys, features[-1:]])[-self.window :]
        self._words = words[len(words) + 1 - len(self._features) :]
        return torch.cat(found, dim=1)


def word_log_probs(
    queries: Tensor,
    targets: Tensor,
    keys: Tensor,
    words: Tensor,
    visible: Tensor,
    thetas: Sequence[float],
) -> Tensor:
    """log p_cache of the targets under each theta.

    Shapes:
        queries (L, B, d), targets (L, B), keys (P, B, d), words (P, B), visible (L, P) ->
        (G, L, B).
    """
    products = torch.bmm(queries.transpose(0, 1), keys.permute(1, 2, 0))  # (B, L, P)
    same = targets.T[:, :, None] == words.T[:, None]
    found = []
    for theta in thetas:
        scores = (theta * products).masked_fill(~visible, -math.inf)
        hits = scores.masked_fill(~same, -math.inf).logsumexp(-1)
        found.append((hits - scores.logsumexp(-1)).T)  # -inf - (-inf) = nan: an empty cache
    return torch.stack(found)

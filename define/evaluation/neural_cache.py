"""The neural cache of Grave et al. 2017b, which also predicts words that occurred recently.

Step t of a stream reads x_t; its features h_t predict x_(t+1). The cache holds the pairs
(h_i, x_(i+1)) of the last `window` steps before t, and equations 3 to 5 give

    p(w) = (1 - lambda) p_model(w) + lambda p_cache(w)
    p_cache(w) proportional to the sum of exp(theta h_t . h_i) over the pairs with x_(i+1) = w
and only the model's while the cache is empty, at the first step of a stream. Shapes: L steps, B
streams, P pairs, d the width of the features, G values of theta.
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

# The grid of a search. Small thetas are for features of a large norm, as Transformer-XL's are.
THETAS = (0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
LAMBDAS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6)


@dataclass(frozen=True)
class NeuralCache:
    """Settings: pairs in the cache; theta (0 counts words); lambda, the cache's share."""

    window: int
    theta: float
    weight: float

    def __post_init__(self):
        if not (self.window >= 1 and 0 <= self.theta < math.inf and 0 <= self.weight < 1):
            raise InputError(
                f"neural cache: window = {self.window} must be at least 1, theta = {self.theta} 0 "
                f"or more, and lambda = {self.weight} must lie in [0, 1)"
            )


def protocol_with_cache(model: nn.Module, protocol: Protocol, window: int) -> Protocol:
    """The protocol with a default burn-in that also fills the cache; no sliding windows."""
    if protocol.context is not None:
        raise InputError(
            f"the neural cache follows a stream, but the windows of context = {protocol.context} "
            "are independent; leave one of them out"
        )
    if protocol.burn_in is not None:
        return protocol
    filled = math.ceil(window / protocol.window) * protocol.window
    return replace(protocol, burn_in=protocol.burn_in_of(model) + filled)


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
    """The scores of `perplexity.evaluate`, with each of the caches, which share one window."""
    pairs = CachedPairs(caches[0].window)
    protocol = protocol_with_cache(model, protocol, pairs.window)
    thetas = list(dict.fromkeys(cache.theta for cache in caches))
    totals, scored = dict.fromkeys(caches, 0.0), 0
    with applied(model, protocol):
        for inputs, targets, output in outputs(model, tokens, eos, batch_size, protocol, quiet):
            cached = pairs.log_probs(inputs, targets, output.raw, thetas)
            where = targets != IGNORED
            plain = -model.output.nll(output.features[where], targets[where])
            scored += len(plain)
            for cache in caches:
                words = cached[thetas.index(cache.theta)][where]
                share = math.log(cache.weight) if cache.weight else -math.inf
                mixed = torch.logaddexp(plain + math.log1p(-cache.weight), words + share)
                totals[cache] -= torch.where(words.isnan(), plain, mixed).double().sum().item()
    return {cache: mean(total, scored, len(tokens)) for cache, total in totals.items()}


class CachedPairs:
    """The latest pairs of the streams; a pair's word is the input of the step after it."""

    def __init__(self, window: int):
        self.window, self._keys, self._words_PB = window, None, None

    def log_probs(
        self, inputs_LB: Tensor, targets_LB: Tensor, features: Tensor, thetas: Sequence[float]
    ) -> Tensor:
        """log p_cache of the targets (G, L, B): -inf for a word that is not in the cache, nan if it
        is empty; then the pairs of these steps, with features (L, B, d), are added."""
        features = features if features.dtype == torch.float64 else features.float()
        keys, words_PB, seen = features[:-1], inputs_LB[1:], 0
        if self._keys is not None:
            keys, seen = torch.cat([self._keys, keys]), len(self._keys)
            words_PB = torch.cat([self._words_PB, inputs_LB])
        # Step i sees the pairs [seen + i - window, seen + i).
        end_L1 = seen + torch.arange(len(inputs_LB), device=keys.device)[:, None]
        age_LP = end_L1 - torch.arange(len(keys), device=keys.device)
        hidden_LP = (age_LP < 1) | (age_LP > self.window)
        products_BLP = torch.bmm(features.transpose(0, 1), keys.permute(1, 2, 0))
        other_BLP = targets_LB.T[:, :, None] != words_PB.T[:, None]
        found = []
        for theta in thetas:
            scores = (theta * products_BLP).masked_fill(hidden_LP, -math.inf)
            hits = scores.masked_fill(other_BLP, -math.inf).logsumexp(-1)
            found.append((hits - scores.logsumexp(-1)).T)  # -inf - (-inf) = nan: an empty cache
        # The next step's input is the word of the last features.
        self._keys = torch.cat([keys, features[-1:]])[-self.window :]
        self._words_PB = words_PB[len(words_PB) + 1 - len(self._keys) :]
        return torch.stack(found)

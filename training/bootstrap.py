"""Intervals over users: the rows of one user are drawn together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from training.metrics import Floats

Metrics = dict[str, Floats]
LEVELS = (0.025, 0.975)
WEIGHTS_AT_ONCE = 1 << 20


def draw_weights(
    users: npt.NDArray[np.str_], draws: int, seed: int
) -> Iterator[npt.NDArray[np.float64]]:
    """Blocks of weights of shape (some, n): how often each row's user was drawn.

    Poisson(1) weights stand for drawing with replacement: Chamandy et al. 2012, section 3.
    """
    codes = np.unique(users, return_inverse=True)[1]
    random = np.random.default_rng(seed)
    at_once = max(1, WEIGHTS_AT_ONCE // max(1, len(users)))
    for start in range(0, draws, at_once):
        block = min(at_once, draws - start)
        counts = random.poisson(1.0, (block, int(codes.max()) + 1)).astype(np.float64)
        yield counts[:, codes]


def over_users(
    measure: Callable[[Floats], Metrics],
    users: npt.NDArray[np.str_],
    draws: int,
    seed: int,
) -> Metrics:
    """`measure(weights)` for every draw: name to shape (draws,)."""
    blocks = [measure(weights) for weights in draw_weights(users, draws, seed)]
    return {name: np.concatenate([b[name] for b in blocks]) for name in (blocks or [{}])[0]}


def interval(draws: Floats) -> tuple[float, float] | None:
    """The middle 95 % of the draws in which the metric is defined; None where it never is."""
    known = draws[np.isfinite(draws)]
    if not len(known):
        return None
    low, high = np.quantile(known, LEVELS)
    return float(low), float(high)

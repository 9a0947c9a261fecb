"""What customers whose history is known may do next, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from training.buying_data import Histories
from training.metrics import Floats

Ints = npt.NDArray[np.int64]


def simulate_future(
    parameters: Sequence[float],
    known: Histories,
    alive: Floats,
    horizon: float,
    extra: int,
    draws: int,
    seed: int,
) -> Ints:
    """How many purchases in (T, T + horizon], shape (draws, n).

    alive   the probability that a customer has not left, shape (n,). Given that, lambda ~
            Gamma(r + x, alpha + T) and p ~ Beta(a, b + k), independent of each other; of the
            Poisson many purchases that would come, those up to the one at which they leave do.
    """
    r, alpha, a, b = parameters
    draw = np.random.default_rng(seed)
    x = known.frequency
    size = (draws, len(x))
    mean = draw.gamma(r + x, horizon / (alpha + known.age), size)
    # Beyond this NumPy's Poisson has no 64-bit count to give.
    would: npt.NDArray[Any] = draw.poisson(np.minimum(mean, 1e18))
    leaves = np.maximum(draw.beta(a, b + x + extra, size), 1e-18)
    until = draw.geometric(leaves)
    return np.where(draw.random(size) < alive, np.minimum(would, until), 0)

"""Means over p ~ Beta(a, beta) to about 9 digits, for any a and beta and for integrands with a
scale of their own.

The expected number of purchases is published with a Gaussian hypergeometric function whose
series cancels or does not end where the horizon is long, the customer heavy or a near 1. It is
the mean over p of a smooth positive function, so here it is that mean, as a sum of positive
terms: the trapezoid rule in y = log(p / (1 - p)), which converges exponentially (Trefethen &
Weideman 2014), with tails drawn in by a double exponential (Takahasi & Mori 1974).
"""

from __future__ import annotations

import math

import numpy as np

from training.metrics import Floats

STEP = 0.25  # errors shrink as e^(-1 / STEP): 2e-10 at most here, 1e-16 usually
NEGLIGIBLE = 37.0  # e^-37 is 1e-16
DROPPED = 1e-18
SMALLEST = 1e-290  # p that underflow: integrands are flat there, but divide by p
CORE = 2.0  # of the scale of the density, left linear


def beta_nodes(a: float, beta: float, finest: float) -> tuple[Floats, Floats]:
    """p and weights that sum to 1, each of shape (nodes,), float64.

    finest   the smallest p below which integrands are flat: 1 / finest is the steepest rate at
             which one turns
    """
    here = math.log((a + 1) / (beta + 1))  # of a small a, where p begins to be cut off
    left = CORE + math.log1p(1 / (finest * (beta + 1)))
    scale = min(1.0, math.sqrt(_trigamma(a) + _trigamma(beta)))
    low = -left - math.log(9 + NEGLIGIBLE / (a * scale))
    high = CORE + math.log(9 + (NEGLIGIBLE / beta + max(0.0, -here)) / scale)
    s = np.arange(math.floor(low / STEP), math.ceil(high / STEP) + 1, dtype=np.float64) * STEP
    up, down = np.exp(s - CORE), np.exp(-s - left)
    y = here + scale * (s + up - down)
    log_p, log_q = -np.logaddexp(0.0, -y), -np.logaddexp(0.0, y)
    log_weight = a * log_p + beta * log_q + np.log(1 + up + down)
    weight = np.exp(log_weight - log_weight.max())
    weight = weight / weight.sum()
    kept = weight > DROPPED
    return np.maximum(np.exp(log_p), SMALLEST)[kept], weight[kept]


def _trigamma(at: float) -> float:
    from scipy.special import polygamma

    return float(polygamma(1, at))

"""The losses of sequence models as their papers write them: loops and products, in float64."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def hazard_likelihood(logits: Floats, low: int, high: int) -> float:
    """The chance that the event falls into one of the bins [low, high), the last of bins + 1
    being "later"."""
    chances, left = [], 1.0
    for logit in logits:
        hazard = 1 / (1 + math.exp(-logit))
        chances.append(left * hazard)
        left *= 1 - hazard
    return sum([*chances, left][low:high])


def reached(logits: Floats, edges: tuple[float, ...], day: float) -> float:
    """The chance that the event has come by the day, at a constant rate within each bin."""
    left, begin = 1.0, 0.0
    for index, (logit, end) in enumerate(zip(logits, edges, strict=True)):
        stays = 1 - 1 / (1 + math.exp(-logit))
        last = index == len(edges) - 1
        if day <= end or last:
            return 1 - left * stays ** ((day - begin) / (end - begin))
        left, begin = left * stays, end
    raise AssertionError


def ziln_density(odds: float, mu: float, sigma: float, value: float) -> float:
    some = 1 / (1 + math.exp(-odds))
    if value <= 0:
        return 1 - some
    z = (math.log(value) - mu) / sigma
    return some * math.exp(-0.5 * z * z) / (value * sigma * math.sqrt(2 * math.pi))


def gap_density(mixture: Floats, sigma: Floats, seconds: float) -> float:
    """`mixture`: shape (3, parts); of the log of the gap."""
    weights = np.exp(mixture[0]) / np.exp(mixture[0]).sum()
    at = math.log(max(seconds, 1.0))
    dense = np.exp(-0.5 * ((at - mixture[1]) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
    return float((weights * dense).sum())


def contrastive(embeddings: Floats, owners: list[int], margin: float, negatives: int) -> float:
    """Mean cost of positive pairs and of each row's nearest rows of others."""
    costs, rows = [], range(len(owners))
    for i in rows:
        others = []
        for j in rows:
            distance = math.sqrt(float(((embeddings[i] - embeddings[j]) ** 2).sum()))
            if owners[i] != owners[j]:
                others.append(distance)
            elif i < j:
                costs.append(distance**2)
        costs += [max(0.0, margin - d) ** 2 for d in sorted(others)[:negatives]]
    return sum(costs) / max(len(costs), 1)

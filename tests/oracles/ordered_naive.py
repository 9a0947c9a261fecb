"""Isotonic distributional regression by its min-max formula, one number and threshold at a time."""

from __future__ import annotations

from collections.abc import Sequence


def naive_cdf(
    numbers: Sequence[float], values: Sequence[float], weights: Sequence[float]
) -> dict[tuple[float, float], float]:
    """(number, threshold) to P(value <= threshold): the least over all that start at or below the
    number of the largest share over all that end at or above it, turned round since the share
    falls with the number. Barlow et al. 1972; Henzi, Ziegel & Gneiting 2021, eq. 2."""
    places = sorted(set(numbers))

    def share(low: float, high: float, threshold: float) -> float:
        inside = [
            (w, v <= threshold)
            for n, v, w in zip(numbers, values, weights, strict=True)
            if low <= n <= high
        ]
        return sum(w for w, under in inside if under) / sum(w for w, _ in inside)

    return {
        (at, threshold): min(
            max(share(low, high, threshold) for high in places if high >= at)
            for low in places
            if low <= at
        )
        for at in places
        for threshold in sorted(set(values))
    }

"""Quantiles of whole seconds, exact from how many users took how many."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

PERCENTS = (25, 50, 75, 90)


def quantiles(histogram: pl.DataFrame, percents: Sequence[int] = PERCENTS) -> list[float | None]:
    """Of `seconds`, each counted `users` times; null where there is nobody.

    The p-th lies at p percent of the way from the first of n in order to the last, (n - 1) steps,
    and between two on the straight line: Hyndman and Fan 1996, type 7. The median is so the
    middle one or the mean of the middle two.
    """
    total = int(histogram["users"].sum())
    if total == 0:
        return [None] * len(percents)
    ordered = histogram.group_by("seconds").agg(pl.col("users").sum()).sort("seconds")
    seconds, upto = ordered["seconds"], ordered["users"].cum_sum()
    found: list[float | None] = []
    for percent in percents:
        place, rest = divmod((total - 1) * percent, 100)
        low = int(seconds[int(upto.search_sorted(place + 1, "left"))])
        high = low if not rest else int(seconds[int(upto.search_sorted(place + 2, "left"))])
        found.append(low + (high - low) * rest / 100)
    return found

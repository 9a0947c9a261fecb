"""Shares with their uncertainty."""

from __future__ import annotations

import polars as pl

from runtime.wilson import Z_95, wilson

CONFIDENCE = 0.95


def with_share(frame: pl.DataFrame, part: str, whole: str, known: pl.Expr) -> pl.DataFrame:
    """Adds `share` = part / whole with its Wilson interval `low`, `high` at 95 %.

    All three are null where `known` is false or the whole is 0.
    """
    n = pl.col(whole).cast(pl.Float64)
    low, high = wilson(pl.col("share"), n)
    return frame.with_columns(
        share=pl.when(known & (pl.col(whole) > 0)).then(pl.col(part) / n)
    ).with_columns(low=low.clip(0, 1), high=high.clip(0, 1))


def with_mean(
    frame: pl.DataFrame, total: str, squares: str, whole: str, known: pl.Expr
) -> pl.DataFrame:
    """Adds `mean` = total / whole with `mean_low`, `mean_high`: the normal interval at 95 % from
    the sample's variance, (squares - total^2 / n) / (n - 1).

    All are null where `known` is false or the whole is 0, the bounds where it is 1.
    """
    n, mean = pl.col(whole).cast(pl.Float64), pl.col("mean")
    spread = (pl.col(squares) - pl.col(total) ** 2 / n).clip(lower_bound=0) / (n - 1)
    reach = Z_95 * (spread / n).sqrt()
    several = pl.col(whole) > 1
    return frame.with_columns(
        mean=pl.when(known & (pl.col(whole) > 0)).then(pl.col(total) / n)
    ).with_columns(
        mean_low=pl.when(several).then(mean - reach),
        mean_high=pl.when(several).then(mean + reach),
    )

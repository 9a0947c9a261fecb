"""Shares with their uncertainty."""

from __future__ import annotations

from statistics import NormalDist

import polars as pl

CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)


def with_share(frame: pl.DataFrame, part: str, whole: str, known: pl.Expr) -> pl.DataFrame:
    """Adds `share` = part / whole with its Wilson interval `low`, `high` at 95 %.

    All three are null where `known` is false or the whole is 0. Wilson 1927; the form is
    Agresti and Coull 1998, eq. 2.
    """
    n, p = pl.col(whole).cast(pl.Float64), pl.col("share")
    centre = p + _Z**2 / (2 * n)
    reach = _Z * (p * (1 - p) / n + _Z**2 / (4 * n**2)).sqrt()
    scale = 1 + _Z**2 / n
    return frame.with_columns(
        share=pl.when(known & (pl.col(whole) > 0)).then(pl.col(part) / n)
    ).with_columns(
        low=((centre - reach) / scale).clip(0, 1),
        high=((centre + reach) / scale).clip(0, 1),
    )


def with_mean(
    frame: pl.DataFrame, total: str, squares: str, whole: str, known: pl.Expr
) -> pl.DataFrame:
    """Adds `mean` = total / whole with `mean_low`, `mean_high`: the normal interval at 95 % from
    the sample's variance, (squares - total^2 / n) / (n - 1).

    All are null where `known` is false or the whole is 0, the bounds where it is 1.
    """
    n, mean = pl.col(whole).cast(pl.Float64), pl.col("mean")
    spread = (pl.col(squares) - pl.col(total) ** 2 / n).clip(lower_bound=0) / (n - 1)
    reach = _Z * (spread / n).sqrt()
    several = pl.col(whole) > 1
    return frame.with_columns(
        mean=pl.when(known & (pl.col(whole) > 0)).then(pl.col(total) / n)
    ).with_columns(
        mean_low=pl.when(several).then(mean - reach),
        mean_high=pl.when(several).then(mean + reach),
    )

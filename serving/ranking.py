"""The order of an export and the bands in it: who to look at first."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from runtime.collect import collect
from runtime.device import Device
from serving.formats import COLUMNS, DECIMALS, NUMBERS

CPU = Device("cpu", "one pass over the scores")
FORMULA_START = r"^[=+\-@\t\r]"


@dataclass(frozen=True)
class Summary:
    """What must be known of all rows before the first one is written.

    Band limits are probabilities. `high_above`: twice the odds of the list's mean probability;
    `low_below`: half of them. Relative limits because a base rate of 5 % and one of 85 % both
    occur; odds because twice a probability may exceed 1.
    """

    rows: int
    rank_by: str
    high_above: float
    low_below: float
    formula_like: int
    id_checksum: int
    model_kind: str
    model_version: int
    model_run_id: str
    snapshot_digest: str


def summarise(scores: pl.LazyFrame) -> Summary:
    """One pass over the scores as of one instant; they have one model and at least one row."""
    user_id = pl.col("user_id")
    lineage = ("model_kind", "model_version", "model_run_id", "snapshot_digest")
    seen = collect(
        scores.select(
            rows=pl.len(),
            valued=pl.col("expected_value").count(),
            mean=pl.col("churn_probability").mean(),
            formula_like=user_id.str.contains(FORMULA_START).sum(),
            id_checksum=user_id.hash().sum(),
            **{name: pl.col(name).max() for name in lineage},
        ),
        CPU,
    ).row(0, named=True)
    mean = seen.pop("mean")
    return Summary(
        rank_by="expected_loss" if seen.pop("valued") else "churn_probability",
        high_above=round(2 * mean / (1 + mean), DECIMALS),
        low_below=round(mean / (2 - mean), DECIMALS),
        **seen,
    )


def ranked(scores: pl.LazyFrame, summary: Summary, as_of: str) -> pl.LazyFrame:
    """COLUMNS of every score, best first: by expected loss (probability times value), or by
    probability where the log has no amounts; ties by the other of the two, then by user id.

    Ranked as rounded in the file, so that its order can be checked from the file alone and the
    last bits of a float do not move anyone.
    """
    shown = scores.with_columns(
        pl.lit(as_of).alias("as_of"),
        pl.col(NUMBERS).round(DECIMALS),
        expected_loss=(pl.col("churn_probability") * pl.col("expected_value")).round(DECIMALS),
    )
    order = ["expected_loss", "churn_probability", "user_id"]
    return (
        shown.with_columns(risk_band=_band(summary))
        .sort(order, descending=[True, True, False], nulls_last=True)
        .with_row_index("rank", offset=1)
        .select(COLUMNS)
    )


def _band(summary: Summary) -> pl.Expr:
    """Strict limits: where all probabilities are equal, everyone is in the middle."""
    churn = pl.col("churn_probability")
    return (
        pl.when(churn > summary.high_above)
        .then(pl.lit("high"))
        .when(churn < summary.low_below)
        .then(pl.lit("low"))
        .otherwise(pl.lit("medium"))
    )

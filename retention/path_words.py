"""Paths compared by who churned after them, with a sentence for each."""

from __future__ import annotations

import numpy as np
import polars as pl

from retention.path_keys import keys_of
from retention.path_question import PathQuestion
from retention.path_text import path_texts
from retention.risk_ratio import p_values, q_values, risk_ratio
from retention.shares import with_share

_COLUMNS = (
    "path",
    "users",
    "churned",
    "rate",
    "rate_low",
    "rate_high",
    "users_without",
    "churned_without",
    "rate_without",
    "lift",
    "low",
    "high",
    "p",
    "q",
    "precedes",
    "words",
)


def compared(
    counts: pl.DataFrame,
    asked: PathQuestion,
    whole: bool,
    users: int,
    churned: int,
    share: float,
) -> pl.DataFrame:
    """The rows of `PathsBeforeChurn`, of counts with key0..., users and churned."""
    told = counts.select(
        "users",
        "churned",
        path=path_texts(keys_of(asked), asked.nodes, ended=whole),
        users_without=users - pl.col("users"),
        churned_without=churned - pl.col("churned"),
    )
    told = with_share(told, "churned", "users", pl.lit(value=True)).rename(
        {"share": "rate", "low": "rate_low", "high": "rate_high"}
    )
    told = told.with_columns(rate_without=pl.col("churned_without") / pl.col("users_without"))
    told = _tested(told).with_columns(precedes=_precedes(share))
    told = told.with_columns(words=_words(whole))
    return told.select(_COLUMNS).sort("q", "p", "path")


def _tested(told: pl.DataFrame) -> pl.DataFrame:
    names = ("churned", "users", "churned_without", "users_without")
    groups = [told[name].to_numpy().astype(np.float64) for name in names]
    x1, n1, x0, n0 = groups
    ratio, low, high = risk_ratio(x1, n1, x0, n0)
    p = p_values(x1, n1, x0, n0)
    found = {"lift": ratio, "low": low, "high": high, "p": p, "q": q_values(p)}
    columns = [pl.Series(name, values, pl.Float64) for name, values in found.items()]
    bounded = pl.col("lift", "low", "high")
    return told.with_columns(columns).with_columns(pl.when(bounded.is_finite()).then(bounded))


def _precedes(share: float) -> pl.Expr:
    found = pl.col("q") <= share
    return (
        pl.when(found & (pl.col("low") > 1))
        .then(pl.lit("churn"))
        .when(found & (pl.col("high") < 1))
        .then(pl.lit("staying"))
        .otherwise(pl.lit(None, pl.String))
    )


def _words(whole: bool) -> pl.Expr:
    who = "users with a path " if whole else "users who did "
    times = pl.format(
        " churn {} times as often ({} to {})",
        _short("lift"),
        _short("low"),
        pl.when(pl.col("high").is_null()).then(pl.lit("any")).otherwise(_short("high")),
    )
    alone = pl.lit(" churn, of the others nobody did")
    neither = pl.lit(" did not churn, nor did anybody else")
    none_else = pl.when(pl.col("churned") > 0).then(alone).otherwise(neither)
    said = pl.when(pl.col("lift").is_null()).then(none_else).otherwise(times)
    return pl.concat_str(pl.lit(who), pl.col("path"), said)


def _short(name: str) -> pl.Expr:
    """One decimal from 1 on, two below: 2.1, 0.43."""
    value = pl.col(name)
    return (
        pl.when(value >= 1)
        .then(value.round(1).cast(pl.String))
        .otherwise(value.round(2).cast(pl.String))
        .fill_null("unknown")
    )

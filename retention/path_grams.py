"""The plans behind paths before churn: who went which path, and who churned then."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from features.definitions import Definitions
from features.eligible import eligible_plan
from features.labels import label_plan
from features.time import Cutoff
from retention.path_keys import keys_of, path_rows
from retention.path_question import PathQuestion
from runtime.settings import Settings

GRAM, EVERYONE, ANY = range(3)


def labelled_plan(
    events: pl.LazyFrame, cutoff: Cutoff, settings: Settings, users: pl.LazyFrame | None
) -> pl.LazyFrame:
    """`user_id`, `churn` (Int8) of everyone eligible at the cutoff: what a snapshot has."""
    eligible = eligible_plan(events, cutoff, Definitions.of(settings), users)
    labels = label_plan(events, cutoff, settings, users).select("user_id", "churn")
    return eligible.join(labels, on="user_id", how="left")


def grams_plan(rows: pl.LazyFrame, asked: PathQuestion, *, whole: bool) -> pl.LazyFrame:
    """Each user's different paths, once: user_id, `key0` and so on.

    `whole`: those of whole sessions, with how they end; else every run of 1 to `asked.steps`
    events in a row within a session (or user), whose key has no digit beyond it.
    """
    keys = keys_of(asked)
    paths = path_rows(rows, asked, everywhere=not whole)
    if whole:
        return paths.select("user_id", *keys.names).unique()
    return pl.concat(
        [
            paths.filter(keys.digit(n - 1).is_between(1, asked.nodes.rest)).select(
                "user_id", key0=pl.col("key0") % keys.base**n
            )
            for n in range(1, asked.steps + 1)
        ]
    ).unique()


def before_plan(
    rows: pl.LazyFrame, labelled: pl.LazyFrame, asked: PathQuestion, *, whole: bool
) -> pl.LazyFrame:
    """Counts of one bucket: part, key0..., users (with a label), churned, unknown (without).

    GRAM: of those who went a path. ANY: of those who went any. EVERYONE: of all who are eligible.
    """
    keys = keys_of(asked)
    known = labelled.with_columns(pl.col("churn").cast(pl.Int64))
    counts = {
        "users": pl.col("churn").is_not_null().cast(pl.Int64).sum(),
        "churned": pl.col("churn").sum(),
        "unknown": pl.col("churn").is_null().cast(pl.Int64).sum(),
    }
    went = grams_plan(rows, asked, whole=whole).join(known, on="user_id")
    found = went.group_by(keys.names).agg(**counts)
    none = [pl.lit(0, keys.dtype).alias(name) for name in keys.names]
    anybody = went.select("user_id", "churn").unique("user_id").select(**counts)
    everyone = known.select(**counts).with_columns(*none)
    order = (*keys.names, *counts)
    parts = {GRAM: found, EVERYONE: everyone, ANY: anybody.with_columns(*none)}
    return pl.concat(
        [
            part.select(pl.lit(number, pl.Int8).alias("part"), *order)
            for number, part in parts.items()
        ]
    )


def gone_plan(
    rows: pl.LazyFrame,
    labelled: pl.LazyFrame,
    asked: PathQuestion,
    codes: Sequence[int],
    *,
    whole: bool,
) -> pl.LazyFrame:
    """user_id, churn of those with a label who went one path, by user."""
    keys = keys_of(asked)
    same = pl.lit(value=True)
    for place, code in enumerate(codes):
        same &= keys.digit(place) == code
    if len(codes) < keys.digits:
        same &= keys.digit(len(codes)) == 0
    went = grams_plan(rows, asked, whole=whole).filter(same).select("user_id")
    known = labelled.filter(pl.col("churn").is_not_null())
    return went.join(known, on="user_id").select("user_id", "churn").sort("user_id")

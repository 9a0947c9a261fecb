"""What happened after a cutoff: churn and value, and which cutoffs can have a label at all.

The label span is `[t + gap, t + gap + horizon)`; the gap `[t, t + gap)` feeds nothing.

passive   1 where no active event lies in the span, else 0
active    1 where a churn event or the users table's churn date lies in the span, else 0
lapse     1 where the lapse lies in the span, else 0. A renewal at r covers [r, r + period +
          grace); the lapse is the first instant at or after t that no renewal covers, so a
          renewal at the very instant the last one runs out is in time
value     the amounts of value events in `[t + gap, t + gap + value horizon)`, 0.0 where none;
          null for everyone where the log had no amount before the cutoff

Whoever churns in the gap, actively or by lapse, was already lost when the span begins: null.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from features.attributes import in_frame
from features.definitions import Definitions, marked
from features.eligible import covered, with_dates
from features.prefix import Boundaries, Ints, StreamRows
from features.streams import ORDER
from features.time import Cutoff, Span, at_instant
from runtime.collect import collect
from runtime.device import Device
from runtime.settings import Churn, Settings

CPU = Device("cpu", "prefix sums")
MOST_DAYS_APART = 30


def label_plan(
    events: pl.LazyFrame,
    cutoff: Cutoff,
    settings: Settings,
    users: pl.LazyFrame | None,
    *,
    has_amount: bool = True,
) -> pl.LazyFrame:
    """`user_id`, `churn` (Int8) and `value` (Float64) of everyone with an event before t."""
    rows = marked(events, Definitions.of(settings)).sort(ORDER)
    return labels_of(rows, "user_id", cutoff, settings, users, has_amount=has_amount)


def labels_of(
    rows: pl.LazyFrame,
    key: str,
    cutoff: Cutoff,
    settings: Settings,
    users: pl.LazyFrame | None,
    *,
    has_amount: bool,
) -> pl.LazyFrame:
    """The same from marked rows in ORDER, whose users `key` tells apart."""
    churn = settings.churn
    span = cutoff.horizon(churn.gap_days, churn.horizon_days)
    gap = Span(cutoff.at, span.start)
    paid = cutoff.horizon(churn.gap_days, settings.value_horizon_days)
    rows = rows.filter(pl.col("ts") < max(span.end, paid.end))
    people = rows.group_by(key, maintain_order=True).agg(
        *([] if key == "user_id" else [pl.col("user_id").first()]),
        first_ts=pl.col("ts").min(),
        active=(pl.col("active") & span.holds()).sum(),
        ends_gap=(pl.col("ends") & gap.holds()).sum(),
        ends_span=(pl.col("ends") & span.holds()).sum(),
        value=pl.when(paid.holds()).then(pl.col("amount")).sum(),
    )
    people = people.filter(pl.col("first_ts") < cutoff.at).with_columns(cutoff=at_instant(cutoff))
    value = pl.col("value") if has_amount else pl.lit(None, dtype=pl.Float64)
    if churn.kind == "lapse":
        lapses = _lapses(rows, key, churn).filter(pl.col("lapse") >= cutoff.at)
        first = lapses.group_by(key).agg(pl.col("lapse").min())
        people = people.join(first, on=key, how="left")
    dated = with_dates(people, users, Definitions.of(settings))
    return dated.select("user_id", churn=_churned(churn).cast(pl.Int8), value=value)


def labels_at(
    rows: pl.DataFrame,
    people: pl.DataFrame,
    who: Ints,
    cut: Ints,
    cutoffs: Sequence[Cutoff],
    settings: Settings,
    users: pl.LazyFrame | None,
) -> pl.DataFrame:
    """`churn` and `value` of pairs of a user's number and a cutoff's place, in their order.

    `rows` as `features.streams.prepare` makes them; `people`: the pairs' `cutoff`, `user_id`.
    """
    churn, gap = settings.churn, settings.churn.gap_days
    ends = (gap + churn.horizon_days, gap + settings.value_horizon_days)
    boundaries = Boundaries(cutoffs, [-gap, -ends[0], -ends[1]])
    number_of_users = int(rows["number"].max()) + 1 if rows.height else 0  # type: ignore[arg-type]
    marked_rows = rows.select("number", "ts", "active", "ends", pl.col("amount").fill_null(0.0))
    seen = StreamRows(marked_rows, number_of_users, boundaries).at(who, cut)
    known = people.with_columns(
        pl.Series("active", seen.between("active", -gap, -ends[0])),
        pl.Series("ends_gap", seen.between("ends", 0, -gap)),
        pl.Series("ends_span", seen.between("ends", -gap, -ends[0])),
        pl.Series("value", seen.sum_between("amount", -gap, -ends[1])),
    ).lazy()
    if churn.kind == "lapse":
        known = known.with_columns(_first_lapses(rows, number_of_users, who, cut, cutoffs, churn))
    dated = with_dates(known.with_row_index("pair"), users, Definitions.of(settings))
    labels = dated.select("pair", "value", churn=_churned(churn).cast(pl.Int8)).sort("pair")
    return collect(labels.select("churn", "value"), CPU)


def _first_lapses(
    rows: pl.DataFrame,
    number_of_users: int,
    who: Ints,
    cut: Ints,
    cutoffs: Sequence[Cutoff],
    churn: Churn,
) -> pl.Series:
    """The first lapse at or after each pair's cutoff; null where there is none."""
    lapses = _lapses(rows.lazy(), "number", churn).filter(pl.col("lapse").is_not_null())
    ordered = collect(lapses.select("number", ts=pl.col("lapse")).sort("number", "ts"), CPU)
    found = StreamRows(ordered, number_of_users, Boundaries(cutoffs, ())).at(who, cut).next()
    return pl.Series("lapse", found, nan_to_null=True).dt.replace_time_zone("UTC")


def _lapses(rows: pl.LazyFrame, key: str, churn: Churn) -> pl.LazyFrame:
    """When each renewal runs out without another one in time; null where one is in time."""
    renewals = rows.filter(pl.col("ends")).sort(key, "ts")
    runs_out = pl.col("ts") + covered(churn)
    same_user = pl.col(key) == pl.col(key).shift(-1)
    in_time = (same_user & (pl.col("ts").shift(-1) <= runs_out)).fill_null(value=False)
    return renewals.select(key, lapse=pl.when(~in_time).then(runs_out))


def _churned(churn: Churn) -> pl.Expr:
    """Reads `cutoff` and the counts in the gap and in the span, or the instant of a lapse."""
    if churn.kind == "passive":
        return pl.col("active") == 0
    if churn.kind == "lapse":
        lost, leaves = _in_gap("lapse", churn), _in_span("lapse", churn)
    else:
        lost, leaves = pl.col("ends_gap") > 0, pl.col("ends_span") > 0
        if churn.date_column is not None:
            date = in_frame(churn.date_column)
            lost, leaves = lost | _in_gap(date, churn), leaves | _in_span(date, churn)
    return pl.when(~lost).then(leaves)


def _in_gap(instant: str, churn: Churn) -> pl.Expr:
    return _from_cutoff(instant, 0, churn.gap_days)


def _in_span(instant: str, churn: Churn) -> pl.Expr:
    return _from_cutoff(instant, churn.gap_days, churn.gap_days + churn.horizon_days)


def _from_cutoff(instant: str, start_days: int, end_days: int) -> pl.Expr:
    """Whether an instant lies in `[t + start, t + end)`; false for null."""
    after = pl.col(instant) - pl.col("cutoff")
    inside = (after >= timedelta(days=start_days)) & (after < timedelta(days=end_days))
    return inside.fill_null(value=False)

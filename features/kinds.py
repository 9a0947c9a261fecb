"""What a user does and through which channel: counts, shares and recency by name.

Rows are first summed by user and kind of event (`kind_rows`), so that the many columns are made
from a small frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from features.family import Column, Family, column, count, days_before, in_window
from features.naming import POOL, words
from features.prepare import OTHER
from features.spec import FeatureSpec
from features.time import Cutoff, Window


def kind_rows(rows: pl.LazyFrame, spec: FeatureSpec, cutoff: Cutoff) -> pl.LazyFrame:
    """One row a user and kind: `number`, `kind`, `n`, `n_month` and the last `ts`."""
    month = in_window(cutoff, spec.month) if spec.month else pl.col("ts").is_null()
    return rows.group_by("number", "kind").agg(
        n=pl.len().cast(pl.Int64), n_month=count(month), ts=pl.col("ts").max()
    )


def _named(slugs: Mapping[str, str], pools: bool) -> Iterator[tuple[int, str, str]]:
    """Code, column name and words of every name that has a column."""
    for code, (name, slug) in enumerate(slugs.items(), start=OTHER + 1):
        yield code, slug, words(name)
    if pools:
        yield OTHER, POOL, "rarer"


def kinds(spec: FeatureSpec, cutoff: Cutoff) -> Family:
    """Breadth, and for each kind of event its count, share and recency. All events count."""
    if not spec.has_events:
        return Family()
    known = pl.col("kind") >= (OTHER if spec.pools_events else OTHER + 1)
    sums = {"rows": pl.col("n").sum(), "kinds": count(known)}
    columns = [_breadth(None)]
    for window in spec.windows:
        sums[f"kinds_{window}"] = count(known & in_window(cutoff, window))
        columns.append(_breadth(window))
    for code, slug, noun in _named(spec.event_slugs, spec.pools_events):
        mine = pl.col("kind") == code
        sums[f"kind_{code}"] = pl.when(mine).then(pl.col("n")).otherwise(0).sum()
        sums[f"kind_{code}_month"] = pl.when(mine).then(pl.col("n_month")).otherwise(0).sum()
        sums[f"kind_{code}_last"] = pl.when(mine).then(pl.col("ts")).max()
        columns += _kind(code, slug, noun, spec.month, cutoff)
    return Family(columns=tuple(columns), kind_sums=sums)


def _breadth(window: Window | None) -> Column:
    when = f"in the last {window.days} days" if window else "ever"
    return column(
        f"kinds_{window or 'total'}",
        "count",
        f"different kinds of events {when}",
        f"{{}} [kind|kinds] of events {when}",
        pl.col(f"kinds_{window}" if window else "kinds"),
        window,
    )


def _kind(code: int, slug: str, noun: str, month: Window | None, cutoff: Cutoff) -> list[Column]:
    total = pl.col(f"kind_{code}")
    found = [
        column(
            f"event_total_{slug}",
            "count",
            f"'{noun}' events ever",
            f"{{}} '{noun}' [event|events] in all",
            total,
        ),
        column(
            f"event_share_{slug}",
            "share",
            f"'{noun}' events by all events",
            f"{{}} of events are '{noun}'",
            total / pl.col("rows"),
        ),
        column(
            f"event_days_since_{slug}",
            "days",
            f"time since the last '{noun}' event",
            f"last '{noun}' event {{}} ago",
            days_before(cutoff, f"kind_{code}_last"),
            missing=f"no '{noun}' event ever",
        ),
    ]
    return [*found, _recent(code, slug, noun, month)] if month else found


def _recent(code: int, slug: str, noun: str, month: Window) -> Column:
    last = f"in the last {month.days} days"
    return column(
        f"event_{month}_{slug}",
        "count",
        f"'{noun}' events {last}",
        f"{{}} '{noun}' [event|events] {last}",
        pl.col(f"kind_{code}_month"),
        month,
    )


def channels(spec: FeatureSpec, cutoff: Cutoff) -> Family:
    """Share and recent count of events by channel; events without a channel are in no column."""
    if not spec.has_channels:
        return Family()
    sums = {"all_rows": pl.len().cast(pl.Int64)}
    columns: list[Column] = []
    for code, slug, noun in _named(spec.channel_slugs, spec.pools_channels):
        mine = pl.col("channel_code") == code
        sums[f"channel_{code}"] = count(mine)
        columns.append(
            column(
                f"channel_share_{slug}",
                "share",
                f"events through '{noun}' by all events",
                f"{{}} of events through '{noun}'",
                pl.col(f"channel_{code}") / pl.col("all_rows"),
            )
        )
        if spec.month:
            sums[f"channel_{code}_month"] = count(mine & in_window(cutoff, spec.month))
            columns.append(_channel_recent(code, slug, noun, spec.month))
    return Family(sums, tuple(columns))


def _channel_recent(code: int, slug: str, noun: str, month: Window) -> Column:
    last = f"in the last {month.days} days"
    return column(
        f"channel_{month}_{slug}",
        "count",
        f"events through '{noun}' {last}",
        f"{{}} [event|events] through '{noun}' {last}",
        pl.col(f"channel_{code}_month"),
        month,
    )

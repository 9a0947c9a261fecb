"""What a user does and through which channel: counts, shares, recency, breadth, concentration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import polars as pl

from events.codes import OTHER
from features.family import (
    Column,
    Family,
    Measure,
    column,
    days_since,
    entropy,
    herfindahl,
    last_days,
    ratio,
    within,
)
from features.measure import ROW
from features.naming import POOL, words
from features.spec import FeatureSpec
from features.time import Window


def _named(slugs: Mapping[str, str], pools: bool) -> Iterator[tuple[int, str, str]]:
    """Code, column name and words of every name that has a column."""
    for code, (name, slug) in enumerate(slugs.items(), start=OTHER + 1):
        yield code, slug, words(name)
    if pools:
        yield OTHER, POOL, "rarer"


def _measures(prefix: str, row: str, codes: list[int]) -> dict[str, Measure]:
    """Of each code: how many rows, and when last."""
    found = {"rows": Measure("events", ROW)}
    for code in codes:
        found[f"{prefix}_{code}"] = Measure("events", pl.col(row), code=code)
        found[f"{prefix}_{code}_last"] = Measure("events", pl.col(row), "latest", code=code)
    return found


def kinds(spec: FeatureSpec) -> Family:
    """Breadth, and for each kind of event its counts, share and recency. All events count."""
    if not spec.has_events:
        return Family()
    named = list(_named(spec.event_slugs, spec.pools_events))
    codes = [code for code, _, _ in named]
    columns = _variety(spec, "kind", codes, "kinds", "kind|kinds")
    for code, slug, noun in named:
        columns += _kind(code, slug, noun, spec)
    return Family(_measures("kind", "kind", codes), tuple(columns))


def channels(spec: FeatureSpec) -> Family:
    """The same of channels; events without a channel are in no column."""
    if not spec.has_channels:
        return Family()
    named = list(_named(spec.channel_slugs, spec.pools_channels))
    codes = [code for code, _, _ in named]
    columns = _variety(spec, "channel", codes, "channels", "channel|channels")
    for code, slug, noun in named:
        columns += _channel(code, slug, noun, spec)
    return Family(_measures("channel", "channel_code", codes), tuple(columns))


def _variety(
    spec: FeatureSpec, prefix: str, codes: list[int], plural: str, word: str
) -> list[Column]:
    found = [_breadth(prefix, codes, plural, word, window) for window in (None, *spec.windows)]
    for window in (None, spec.month) if spec.month else (None,):
        counts = [within(f"{prefix}_{code}", window) for code in codes]
        found += [
            _spread(plural, "entropy", entropy, counts, window),
            _spread(plural, "concentration", herfindahl, counts, window),
        ]
    return found


def _breadth(
    prefix: str, codes: list[int], plural: str, word: str, window: Window | None
) -> Column:
    when = last_days(window) if window else "ever"
    seen = [_seen(f"{prefix}_{code}_last", window) for code in codes]
    return column(
        f"{plural}_{window or 'total'}",
        "count",
        f"different {plural} of events {when}"
        if prefix == "kind"
        else f"different {plural} {when}",
        f"{{}} [{word}] of events {when}" if prefix == "kind" else f"{{}} [{word}] {when}",
        pl.sum_horizontal(seen).cast(pl.Int64) if seen else pl.lit(0, dtype=pl.Int64),
        window,
    )


def _seen(last: str, window: Window | None) -> pl.Expr:
    if window is None:
        return pl.col(last).is_not_null()
    return (pl.col(last) >= pl.col("cutoff") - window.length).fill_null(value=False)


WORDS = {
    "entropy": "entropy (bits) of the counts by",
    "concentration": "Herfindahl index of the counts by",
}


def _spread(
    plural: str,
    what: str,
    formula: Callable[[list[pl.Expr]], pl.Expr],
    counts: list[pl.Expr],
    window: Window | None,
) -> Column:
    when = last_days(window) if window else "ever"
    value = formula(counts) if counts else pl.lit(None, dtype=pl.Float64)
    return column(
        f"{plural}_{what}_{window or 'total'}",
        "number",
        f"{WORDS[what]} {plural.removesuffix('s')} {when}",
        f"{what} of {plural} {when} {{}}",
        value,
        window,
        missing=f"no event of a known {plural.removesuffix('s')} {when}",
    )


def _kind(code: int, slug: str, noun: str, spec: FeatureSpec) -> list[Column]:
    name = f"kind_{code}"
    found = [
        column(
            f"event_total_{slug}",
            "count",
            f"'{noun}' events ever",
            f"{{}} '{noun}' [event|events] in all",
            within(name, None),
        ),
        column(
            f"event_share_{slug}",
            "share",
            f"'{noun}' events by all events",
            f"{{}} of events are '{noun}'",
            within(name, None) / within("rows", None),
        ),
        column(
            f"event_days_since_{slug}",
            "days",
            f"time since the last '{noun}' event",
            f"last '{noun}' event {{}} ago",
            days_since(f"{name}_last"),
            missing=f"no '{noun}' event ever",
        ),
    ]
    recent = partial(_recent, "event", f"'{noun}' events", f"{{}} '{noun}' [event|events]")
    if spec.month:
        found.append(recent(name, slug, spec.month))
    if spec.week and spec.week != spec.month:
        found.append(recent(name, slug, spec.week))
    if spec.month:
        found.append(_recent_share(name, slug, noun, spec.month))
    return found


def _recent(prefix: str, noun: str, said: str, measure: str, slug: str, window: Window) -> Column:
    last = last_days(window)
    return column(
        f"{prefix}_{window}_{slug}",
        "count",
        f"{noun} {last}",
        f"{said} {last}",
        within(measure, window),
        window,
    )


def _recent_share(measure: str, slug: str, noun: str, window: Window) -> Column:
    last = last_days(window)
    return column(
        f"event_share_{window}_{slug}",
        "share",
        f"'{noun}' events by all events {last}",
        f"{{}} of events {last} are '{noun}'",
        ratio(within(measure, window), within("rows", window)),
        window,
        missing=f"no event {last}",
    )


def _channel(code: int, slug: str, noun: str, spec: FeatureSpec) -> list[Column]:
    name = f"channel_{code}"
    found = [
        column(
            f"channel_share_{slug}",
            "share",
            f"events through '{noun}' by all events",
            f"{{}} of events through '{noun}'",
            within(name, None) / within("rows", None),
        ),
        column(
            f"channel_days_since_{slug}",
            "days",
            f"time since the last event through '{noun}'",
            f"last event through '{noun}' {{}} ago",
            days_since(f"{name}_last"),
            missing=f"no event through '{noun}' ever",
        ),
    ]
    if spec.month:
        said = f"{{}} [event|events] through '{noun}'"
        found.append(_recent("channel", f"events through '{noun}'", said, name, slug, spec.month))
    return found

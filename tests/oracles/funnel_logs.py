"""Random small logs with many ties, and what a funnel of them is asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import strategies as st
from oracles.funnel_naive import Asked, Event

from events.contract import EVENTS, TIME
from events.store import EventStore, events_path, open_store
from runtime.settings import Settings
from runtime.tables import append

START = datetime.fromisoformat("2024-05-01T00:00+00:00")
NAMES = "ABCX"
HOUR = timedelta(hours=1)


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Few users, few events, few instants, some with properties. Each event occurs at least
    once, and once with each property."""
    row = st.tuples(
        st.sampled_from("uvw"),
        st.integers(0, 9),
        st.sampled_from("AABBCX"),
        st.sampled_from([{}, {"p": "1"}, {"p": "2"}, {"p": "1", "q": "y"}, {"p": "2", "q": "x"}]),
    )
    rows = draw(st.lists(row, max_size=16))
    rows += [("z", 0, name, {"p": "1", "q": "y"}) for name in NAMES]
    return [Event(user, START + hour * HOUR, name, told) for user, hour, name, told in rows]


@st.composite
def questions(draw: st.DrawFn) -> Asked:
    order = draw(st.sampled_from(["sequential", "strict", "any"]))
    single = st.sampled_from(["A", "B", "C"]).map(lambda name: (name,))
    steps = draw(st.lists(single, min_size=2, max_size=4))
    if order != "any" and draw(st.booleans()):
        steps[draw(st.integers(0, len(steps) - 1))] = ("A", "B")
    exclude = []
    for _ in range(draw(st.integers(0, 2))):
        first = 1 if order == "any" else draw(st.integers(1, len(steps) - 1))
        last = len(steps) if order == "any" else draw(st.integers(first + 1, len(steps)))
        exclude.append(("X", first, last))
    since = draw(st.sampled_from([None, None, 2, 4]))
    until = draw(st.sampled_from([None, None, 5, 7]))
    return Asked(
        steps,
        draw(st.integers(1, 8)) * HOUR,
        order,
        exclude,
        hold=draw(st.sampled_from([None, None, "p"])),
        by=draw(st.sampled_from([None, "q"])),
        since=None if since is None else START + since * HOUR,
        until=None if until is None else START + until * HOUR,
    )


def as_frame(events: Sequence[Event]) -> pl.DataFrame:
    rows = [
        (e.user, e.at, e.name, json.dumps(dict(e.properties)) if e.properties else None)
        for e in events
    ]
    schema = {"user_id": pl.String(), "ts": TIME, "event": pl.String(), "properties": pl.String()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def arguments(asked: Asked) -> dict[str, Any]:
    """What `retention.funnel.funnel` takes for the same question."""
    return {
        "steps": list(asked.steps),
        "window": asked.window,
        "order": asked.order,
        "exclude": [
            name if asked.order == "any" else f"{name}:{first}-{last}"
            for name, first, last in asked.exclude
        ],
        "hold": asked.hold,
        "by": asked.by,
        "since": asked.since,
        "until": asked.until,
    }


def write_in_two(settings: Settings, frame: pl.DataFrame, buckets: int) -> EventStore:
    """A store of two files a bucket, whose rows are so in no order."""
    blank = [pl.lit(None, t).alias(n) for n, t in EVENTS.schema.items() if n not in frame.columns]
    bucket = (pl.col("user_id").rank("dense") % buckets).cast(pl.Int32)
    rows = frame.with_columns(blank).with_columns(bucket=bucket, source=pl.lit("log"))
    rows = rows.select(EVENTS.schema.keys())
    for half in (rows.gather_every(2, 1), rows.gather_every(2)):
        append(events_path(settings), EVENTS, [half])
    return open_store(settings)

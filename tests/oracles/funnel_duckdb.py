"""Funnels said again in SQL: all attempts by joins, the first completions of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import duckdb
import polars as pl
from oracles.funnel_logs import as_frame
from oracles.funnel_naive import Asked, Event

HELD = "json_extract_string(properties, '$.{}')"
LOG = """
    log as (
        select user_id, epoch_us(ts) as tt, event, {held} as held from events where {told}
    ), starts as (
        select distinct user_id, held, tt, event from log where {inside}
    )
"""
NEXT = """
    attempt{step} as (
        select distinct a.user_id, a.held, a.start, e.tt
        from attempt{before} a join log e
            on e.user_id = a.user_id and e.held = a.held
            and (({new} and e.tt >= a.tt) or ({repeated} and e.tt > a.tt))
            and e.tt - a.start < {window}
        where not exists (
            select 1 from log x where x.user_id = a.user_id and x.held = a.held
                and x.tt > a.tt and x.tt < e.tt and {breaks}
        )
    )
"""
PAIRS = """
    pairs as (
        select distinct s.user_id, s.held, s.tt as start, e.tt
        from starts s join log e
            on e.user_id = s.user_id and e.held = s.held and e.tt >= s.tt
            and e.tt - s.tt < {window} and {done}
        where s.event in ({events}) and not exists (
            select 1 from log x where x.user_id = s.user_id and x.held = s.held
                and x.tt > s.tt and x.tt < e.tt and {breaks}
        )
    ), counted as (
        select p.user_id, p.held, p.start, p.tt, {slots} as steps
        from pairs p join log e on e.user_id = p.user_id and e.held = p.held
            and e.tt >= p.start and e.tt <= p.tt
        group by all
    )
"""
FIRSTS = """
    first{step} as (
        select user_id, arg_max(start, start) as start, min(tt) as tt from attempt{step} a
        where tt = (select min(tt) from attempt{step} b where b.user_id = a.user_id)
        group by user_id
    )
"""


def seconds_of(events: Sequence[Event], asked: Asked) -> list[list[int]]:
    """For each step the whole seconds from start to first completion, of all users, in order."""
    parts = [LOG.format(**_log(asked))]
    parts += _any_order(asked) if asked.order == "any" else _one_after_another(asked)
    steps = range(len(asked.steps))
    parts += [FIRSTS.format(step=step) for step in steps]
    told = " union all ".join(
        f"select {step}, (tt - start) // 1000000 from first{step}" for step in steps
    )
    with duckdb.connect() as connection:
        connection.register("events", as_frame(events).to_arrow())
        rows = connection.execute(f"with {', '.join(parts)} {told}").fetchall()
    return [sorted(seconds for step, seconds in rows if step == wanted) for wanted in steps]


def _log(asked: Asked) -> dict[str, str]:
    held = "''" if asked.hold is None else HELD.format(asked.hold)
    inside = ["true"]
    if asked.since is not None:
        inside.append(f"tt >= {_micros(asked.since)}")
    if asked.until is not None:
        inside.append(f"tt < {_micros(asked.until)}")
    return {"held": held, "told": f"{held} is not null", "inside": " and ".join(inside)}


def _one_after_another(asked: Asked) -> list[str]:
    first = _is("event", asked.steps[0])
    parts = [
        f"attempt0 as (select distinct user_id, held, tt as start, tt from starts where {first})"
    ]
    for step in range(1, len(asked.steps)):
        before = {name for earlier in asked.steps[:step] for name in earlier}
        names = set(asked.steps[step])
        breaks = "true"
        if asked.order != "strict":
            excluded = [name for name, first, last in asked.exclude if first <= step < last]
            breaks = _is("x.event", excluded)
        parts.append(
            NEXT.format(
                step=step,
                before=step - 1,
                new=_is("e.event", names - before),
                repeated=_is("e.event", names & before),
                window=_window(asked),
                breaks=breaks,
            )
        )
    return parts


def _any_order(asked: Asked) -> list[str]:
    names = [name for (name,) in asked.steps]
    slots = " + ".join(
        f"least({names.count(name)}, count(distinct e.tt) filter (e.event = '{name}'))"
        for name in sorted(set(names))
    )
    pairs = PAIRS.format(
        window=_window(asked),
        done=_is("e.event", names),
        events=", ".join(f"'{name}'" for name in names),
        breaks=_is("x.event", [name for name, _, _ in asked.exclude]),
        slots=slots,
    )
    return [
        pairs,
        *(
            f"attempt{step} as (select * from counted where steps > {step})"
            for step in range(len(names))
        ),
    ]


def _is(column: str, names: Sequence[str] | set[str]) -> str:
    if not names:
        return "false"
    return f"{column} in ({', '.join(repr(name) for name in sorted(names))})"


def _window(asked: Asked) -> int:
    return round(asked.window.total_seconds() * 1_000_000)


def _micros(instant: datetime) -> int:
    return round(instant.timestamp() * 1_000_000)


def histogram(counts: pl.DataFrame, steps: int) -> list[list[int]]:
    """The same of `counted`'s rows."""
    taken = counts.filter(pl.col("seconds") >= 0)
    return [
        sorted(
            second
            for seconds, users in taken.filter(step=step).select("seconds", "users").iter_rows()
            for second in [seconds] * users
        )
        for step in range(steps)
    ]

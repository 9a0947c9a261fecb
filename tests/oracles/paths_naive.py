"""Paths said again, slowly: plain loops over users, and SQL."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
from oracles.retention_world import Row, as_frame

END, OPEN, CUT = "(end of session)", "(still open)", "(cut)"
OTHERS = "(other events)"


@dataclass(frozen=True)
class Plain:
    """What is asked, in plain values. `end`: up to there the log is complete."""

    per: str
    steps: int
    kept: Sequence[str]
    end: datetime
    start: str | None = None
    until: str | None = None
    collapse: bool = False
    exclude: Sequence[str] = ()
    since: datetime | None = None
    earlier: bool = False
    gap: timedelta = timedelta(minutes=30)


def paths_of(rows: Sequence[Row], asked: Plain) -> dict[str, list[tuple[str, ...]]]:
    """user -> the paths gone, each with its end, in the order of time."""
    own: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for user, ts, event in rows:
        own[user].append((ts, event))
    found = {}
    for user, events in own.items():
        gone = [_path(unit, asked) for unit in _units(sorted(events), asked)]
        found[user] = [path for path in gone if path is not None]
    return {user: gone for user, gone in found.items() if gone}


def _units(events: list[tuple[datetime, str]], asked: Plain) -> list[list[tuple[datetime, str]]]:
    units: list[list[tuple[datetime, str]]] = []
    for event in events:
        joins = units and (asked.per == "user" or event[0] - units[-1][-1][0] <= asked.gap)
        if joins:
            units[-1].append(event)
        else:
            units.append([event])
    return units


def _path(unit: list[tuple[datetime, str]], asked: Plain) -> tuple[str, ...] | None:
    names = [name for _, name in unit if name not in asked.exclude]
    if asked.collapse:
        names = [n for place, n in enumerate(names) if place == 0 or names[place - 1] != n]
    chosen = asked.start or asked.until
    if not names or (chosen is not None and chosen not in names):
        return None
    if asked.until is not None:
        names = names[: names.index(asked.until) + 1]
        ending = CUT if len(names) > asked.steps else _beginning(unit, asked)
        return (ending, *_pooled(names[-asked.steps :], asked))
    if asked.start is not None:
        names = names[names.index(asked.start) :]
    if len(names) > asked.steps:
        ending = CUT
    elif asked.per == "user" or unit[-1][0] + asked.gap >= asked.end:
        ending = OPEN
    else:
        ending = END
    return (*_pooled(names[: asked.steps], asked), ending)


def _beginning(unit: list[tuple[datetime, str]], asked: Plain) -> str:
    if asked.per == "user":
        return "(began earlier)" if asked.earlier else "(start of user)"
    cut = asked.earlier and asked.since is not None and unit[0][0] - asked.gap < asked.since
    return "(began earlier)" if cut else "(start of session)"


def _pooled(names: Sequence[str], asked: Plain) -> list[str]:
    return [name if name in asked.kept else OTHERS for name in names]


def path_counts(gone: Mapping[str, Sequence[tuple[str, ...]]]) -> dict[str, tuple[int, int]]:
    """path -> (count, users)."""
    return _counts({user: [" > ".join(p) for p in paths] for user, paths in gone.items()})


def transition_counts(
    gone: Mapping[str, Sequence[tuple[str, ...]]], *, backward: bool
) -> dict[tuple[int, str, str], tuple[int, int]]:
    """(step, from, to) -> (count, users)."""
    return _counts(
        {
            user: [
                ((-(len(p) - 1 - n) if backward else n + 1), p[n], p[n + 1])
                for p in paths
                for n in range(len(p) - 1)
            ]
            for user, paths in gone.items()
        }
    )


def _counts(kept: Mapping[str, Sequence]) -> dict:
    count: Counter = Counter()
    users: Counter = Counter()
    for things in kept.values():
        count.update(things)
        users.update(set(things))
    return {thing: (count[thing], users[thing]) for thing in count}


SQL = """
    with marked as (
        select user_id, ts, event, lag(ts) over w as before from log
        window w as (partition by user_id order by ts, event)
    ), numbered as (
        select *, sum(case when before is null or ts - before > interval {gap} minute
            then 1 else 0 end) over (partition by user_id order by ts, event
            rows unbounded preceding) as unit from marked
    ), placed as (
        select *, row_number() over (partition by user_id, unit order by ts, event) as place,
            max(ts) over (partition by user_id, unit) as latest
        from numbered
    ), gone as (
        select user_id, unit,
            string_agg(case when event in ({kept}) then event else '(other events)' end, ' > '
                order by place) filter (place <= {steps}) || ' > ' ||
            case when max(place) > {steps} then '(cut)'
                when max(latest) + interval {gap} minute >= timestamptz '{end}'
                then '(still open)' else '(end of session)' end as path
        from placed group by user_id, unit
    )
    select path, count(*), count(distinct user_id) from gone group by path
"""


def path_counts_in_sql(rows: Sequence[Row], asked: Plain) -> dict[str, tuple[int, int]]:
    """The same of whole sessions from their start, by DuckDB."""
    names = ", ".join(f"'{name}'" for name in asked.kept)
    gap = int(asked.gap / timedelta(minutes=1))
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.register("log", as_frame(rows).to_arrow())
        sql = SQL.format(kept=names, steps=asked.steps, end=asked.end.isoformat(), gap=gap)
        return {p: (count, users) for p, count, users in connection.execute(sql).fetchall()}


def runs_before(
    rows: Sequence[Row], asked: Plain, cutoff: datetime, horizon: timedelta
) -> tuple[dict[str, tuple[int, int]], tuple[int, int]]:
    """run of 1 to 3 events -> (users who went it, those of them who churn), and both of everyone.

    Eligible is who did anything before the cutoff; who does nothing in the horizon churns.
    """
    eligible = {user for user, ts, _ in rows if ts < cutoff}
    stays = {user for user, ts, _ in rows if cutoff <= ts < cutoff + horizon}
    gone: dict[str, set[str]] = defaultdict(set)
    for user in eligible:
        own = sorted(
            (ts, name)
            for other, ts, name in rows
            if other == user and ts < cutoff and (asked.since is None or ts >= asked.since)
        )
        for unit in _units(own, asked):
            names = _pooled([name for _, name in unit], asked)
            for length in (1, 2, 3):
                for first in range(len(names) - length + 1):
                    gone[" > ".join(names[first : first + length])].add(user)
    counts = {run: (len(users), len(users - stays)) for run, users in gone.items()}
    return counts, (len(eligible), len(eligible - stays))

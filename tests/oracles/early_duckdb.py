"""Early behaviours and what came of them, in SQL: per user first, then counted."""

from __future__ import annotations

from datetime import datetime

import duckdb
import polars as pl

from retention.early_plan import KINDS, EarlyQuestion

DAY_US = 86_400_000_000

PEOPLE = """
create table people as
with firsts as (select user_id, min(ts) as first from log group by user_id)
select l.user_id, any_value(f.first) as first,
    max(case when active and away >= {stay} * {day} and away < {stay_end} * {day} then 1 else 0 end)
        as stayed,
    max(case when pays and away < {pay} * {day} then away end) as paid_at,
    count(*) filter (active and away < {day}) as actions
from (select l.*, epoch_us(l.ts) - epoch_us(f.first) as away, f.first
      from log l join firsts f using (user_id)) l join firsts f using (user_id)
where f.first <= $last
group by l.user_id
"""

OCCURRENCES = """
create table done as
with away as (
    select l.*, p.first, epoch_us(l.ts) - epoch_us(p.first) as away
    from log l join people p using (user_id)
), seen as (
    select user_id, 'event' as kind, event as name, away from away
    union all select user_id, 'paid', '', away from away where pays
    union all select user_id, 'channel', channel, away from away where channel is not null
    union all select user_id, 'active_days', '', min(away) from away where active
        group by user_id, away // {day}
    union all select user_id, 'sessions', '', away from (
        select user_id, away, lag(away) over (partition by user_id order by away) as before
        from away where active
    ) where before is null or away - before > {gap}
)
select user_id, kind, name, away,
    row_number() over (partition by user_id, kind, name order by away) as at_least
from seen
"""


def tables(log: pl.DataFrame, asked: EarlyQuestion) -> dict[tuple[object, ...], tuple[int, int]]:
    """(later, busy, outcome, kind, name, at_least, days) -> users, hits. `log`: user_id, ts,
    event, channel, and `active` and `pays` of each row."""
    found: dict[tuple[object, ...], tuple[int, int]] = {}
    with duckdb.connect() as base:
        base.execute("set timezone = 'UTC'")
        base.register("frame", log.to_arrow())
        base.execute("create table log as select * from frame")
        base.execute(
            PEOPLE.format(
                day=DAY_US, stay=asked.stay[0], stay_end=asked.stay[1], pay=asked.pay_until
            ),
            {"last": asked.last},
        )
        base.execute(OCCURRENCES.format(day=DAY_US, gap=asked.session_gap_us))
        for days in asked.first_days:
            for outcome in ("stays", "pays"):
                hit = "stayed = 1" if outcome == "stays" else f"paid_at >= {days} * {DAY_US}"
                rows = base.execute(_counted(days, hit), {"split": asked.split}).fetchall()
                for later, busy, kind, name, at_least, users, hits in rows:
                    if at_least in asked.counts:
                        key = (later, busy, outcome, kind, name, at_least, days)
                        found[key] = (users, hits)
    return found


def _counted(days: int, hit: str) -> str:
    return f"""
        select case when first >= $split then 1 else 0 end as later,
            case when actions = 0 then 0 when actions = 1 then 1 when actions <= 3 then 2
                 when actions <= 7 then 3 when actions <= 15 then 4 when actions <= 31 then 5
                 else 6 end as busy,
            kind, name, at_least, count(*), count(*) filter ({hit})
        from done join people using (user_id)
        where away < {days} * {DAY_US} group by all
    """


def everyone(log: pl.DataFrame, last: datetime, split: datetime) -> tuple[int, int]:
    """Users before the split, and at or after it."""
    with duckdb.connect() as base:
        base.execute("set timezone = 'UTC'")
        base.register("log", log.to_arrow())
        found = base.execute(
            """select count(*) filter (first < $split), count(*) filter (first >= $split)
               from (select min(ts) as first from log group by user_id) where first <= $last""",
            {"last": last, "split": split},
        ).fetchone()
    assert found is not None
    return found[0], found[1]


__all__ = ["KINDS", "everyone", "tables"]

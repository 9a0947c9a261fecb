"""Top paths of 50 M events: the first 5 steps of every session, how often each path is gone and
by how many users; beside DuckDB and a bare scan.

For a harness that runs each in a process of its own. `folder` holds the store that
`benchmarks.features` prepares.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from benchmarks.big_log import KINDS
from benchmarks.features import settings_in
from events.store import open_store
from retention.path_counts import PATH, counted
from retention.path_keys import keys_of
from retention.path_question import Asked, question
from retention.path_text import path_texts
from runtime.collect import collect
from runtime.device import Device

CPU = Device("cpu", "benchmark")
STEPS = 5
TOP = 12
GAP_US = 30 * 60 * 1_000_000
COLUMNS = ("user_id", "ts", "event")


def ours(folder: Path) -> pl.DataFrame:
    """path (text, with how it ends), count, users; sorted by path."""
    settings = settings_in(folder)
    store = open_store(settings)
    asked = question(settings, store, CPU, Asked(per="session", steps=STEPS, top=TOP))
    counts = counted(store, CPU, asked, parts=(PATH,))
    path = path_texts(keys_of(asked), asked.nodes)
    return counts.select("count", "users", path=path).sort("path")


def duckdb_sql(glob: str) -> str:
    """The same rows by DuckDB, in no order.

    The best of three that were tried, of one result each: one window for all steps, events and
    paths as whole numbers, users counted by grouping twice. Paths as texts take 3 times as long, so
    does count(distinct).
    """
    names = sorted(KINDS)
    code = " ".join(f"WHEN '{name}' THEN {n}" for n, name in enumerate(names, 1))
    ahead = ", ".join(
        f"lead(t, {n}) OVER w AS t{n}, lead(e, {n}) OVER w AS e{n}" for n in range(1, STEPS + 1)
    )
    digits = " + ".join(
        f"CASE WHEN {_joined(n)} THEN e{n} * {16**n} ELSE 0 END" for n in range(1, STEPS)
    )
    latest = " ".join(f"WHEN {_joined(n)} THEN t{n}" for n in range(STEPS - 1, 0, -1))
    listed = "[" + ", ".join(f"'{name}'" for name in names) + "]"
    texts = " || ".join(
        f"coalesce(' > ' || list_extract({listed}, nullif((k >> {4 * n}) & 15, 0)), '')"
        for n in range(1, STEPS)
    )
    return f"""
        WITH log AS (
            SELECT user_id, epoch_us(ts) AS t, (CASE event {code} END)::INTEGER AS e
            FROM read_parquet('{glob}', hive_partitioning = false)
        ), until AS (SELECT max(t) + 1 AS t FROM log
        ), steps AS (
            SELECT user_id, t, e, lag(t) OVER w AS before, {ahead}
            FROM log WINDOW w AS (PARTITION BY user_id ORDER BY t, e)
        ), paths AS (
            SELECT user_id, (e + {digits} + {16**STEPS} * CASE
                WHEN {_joined(STEPS)} THEN 2
                WHEN CASE {latest} ELSE t END + {GAP_US} >= (SELECT t FROM until) THEN 1
                ELSE 0 END)::BIGINT AS k
            FROM steps WHERE before IS NULL OR t > before + {GAP_US}
        ), counts AS (
            SELECT k, sum(n)::BIGINT AS count, count(*) AS users
            FROM (SELECT k, user_id, count(*) AS n FROM paths GROUP BY k, user_id) GROUP BY k
        )
        SELECT list_extract({listed}, k & 15) || {texts} || ' > ' || list_extract(
            ['(end of session)', '(still open)', '(cut)'], (k >> {4 * STEPS}) + 1) AS path,
            count, users
        FROM counts
    """


def _joined(number: int) -> str:
    """Whether the event so many after one belongs to its session."""
    before = ["t", *(f"t{n}" for n in range(1, number))]
    return " AND ".join(f"t{n} <= {b} + {GAP_US}" for n, b in enumerate(before, 1))


def floor(folder: Path) -> pl.DataFrame:
    """Reads every bucket's columns into memory and lets them go again."""
    store = open_store(settings_in(folder))
    rows = [collect(store.scan(b).select(COLUMNS), CPU).height for b in store.buckets]
    return pl.DataFrame({"rows": [sum(rows)]})

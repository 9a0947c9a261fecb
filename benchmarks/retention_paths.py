"""Top paths of 50 M events: the first 5 steps of every session, how often each path is gone and
by how many users; beside DuckDB and a bare scan.

For a harness that runs each in a process of its own. `folder` holds the store that
`benchmarks.features` prepares.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from benchmarks.features import settings_in
from events.store import open_store
from retention.path_counts import PATH, counted
from retention.path_keys import keys_of
from retention.path_question import Asked, question
from retention.path_text import node_list
from runtime.collect import collect
from runtime.device import Device

CPU = Device("cpu", "benchmark")
STEPS = 5
TOP = 12
GAP_MINUTES = 30
COLUMNS = ("user_id", "ts", "event")


def ours(folder: Path) -> pl.DataFrame:
    """path (text, with how it ends), count, users; sorted by path."""
    settings = settings_in(folder)
    store = open_store(settings)
    asked = question(settings, store, CPU, Asked(per="session", steps=STEPS, top=TOP))
    counts = counted(store, CPU, asked, parts=(PATH,))
    nodes = node_list(keys_of(asked), asked.nodes)
    return counts.select("count", "users", path=nodes.list.join(" > ")).sort("path")


def floor(folder: Path) -> pl.DataFrame:
    """Reads every bucket's columns into memory and lets them go again."""
    store = open_store(settings_in(folder))
    rows = [collect(store.scan(b).select(COLUMNS), CPU).height for b in store.buckets]
    return pl.DataFrame({"rows": [sum(rows)]})

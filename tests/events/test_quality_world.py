"""Every fault that is planted in the synthetic world is found, and next to nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from events.findings import Finding
from events.ingest import ingest
from events.quality import Quality, quality
from events.store import open_store
from events.synthetic import World, write_world
from runtime.settings import load_settings

# What tells of each kind of fault, and how many days off its edges may be.
TELLS: dict[str, tuple[set[str], int | None]] = {
    "missing": ({"gaps"}, None),
    "no event": ({"missing"}, 0),
    "doubled": ({"repeats"}, 0),
    "clock ahead": ({"clock"}, 5),
    "stray clock": ({"refused", "stray"}, None),
    "late": ({"late"}, 0),
    "duplicate": ({"duplicates"}, None),
    "type of item": ({"type"}, 1),
}
# What cannot be told: the event whose numbers are missing.
UNTOLD = {"missing": {"event"}, "duplicate": {"channel"}}
DAYS_A_FALSE_ALARM = 90


def looked_at(world: World, folder: Path) -> Quality:
    """Ingested as a company would: what came afterwards in an ingest of its own."""
    written = write_world(world, folder)
    settings = load_settings(written.config)
    late = sorted(folder.glob("*-late.ndjson"))
    for path in late:
        path.rename(path.with_suffix(".held"))
    ingest(settings)
    for path in late:
        path.with_suffix(".held").rename(path)
    ingest(settings)
    return quality(settings, open_store(settings))


def tells_of(fault: dict[str, Any]) -> Callable[[Finding], bool]:
    kinds, apart = TELLS[fault["kind"]]
    untold = UNTOLD.get(fault["kind"], set())
    first, last = fault["from"].date(), fault["to"].date() - timedelta(days=1)

    def near(found: date | None, planted: date) -> bool:
        return apart is None or (found is not None and abs((found - planted).days) <= apart)

    def tells(finding: Finding) -> bool:
        same = all(getattr(finding, n) == fault[n] for n in ("event", "channel") if n not in untold)
        edges = near(finding.first_day, first) and near(finding.last_day, last)
        return finding.kind in kinds and same and edges

    return tells


def check(world: World, folder: Path) -> None:
    """Every fault is told of, and what tells of none are false alarms, whatever their severity."""
    found = looked_at(world, folder).findings
    planted = pl.read_csv(folder / "truth" / "faults.csv", try_parse_dates=True).to_dicts()
    judges = {fault["kind"]: tells_of(fault) for fault in planted}
    assert set(judges) == (set(TELLS) if world.faults else set())
    missed = [kind for kind, tells in judges.items() if not any(map(tells, found))]
    assert missed == [], [finding.message for finding in found]
    false = [f.message for f in found if not any(tells(f) for tells in judges.values())]
    assert len(false) <= world.days / DAYS_A_FALSE_ALARM / 4, false  # a quarter of what may be


@pytest.mark.parametrize("faults", [True, False])
def test_a_world_with_and_without_faults(faults: bool, tmp_path: Path) -> None:
    """Smaller worlds hide the clocks at times: docs/tracking.md says how often."""
    check(World(users=4000, seed=1, faults=faults), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("faults", [True, False])
@pytest.mark.parametrize(
    ("users", "seed"),
    [(4000, 2), (5000, 3), (7000, 4), (10_000, 5), (15_000, 6), (20_000, 7)],
)
def test_worlds_of_many_sizes(users: int, seed: int, faults: bool, tmp_path: Path) -> None:
    check(World(users=users, seed=seed, faults=faults), tmp_path)

"""What a year ago says of the season: counted rightly, told rightly, of nothing later."""

from __future__ import annotations

import math
import tempfile
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from training_frames import a_year

from benchmarks.shop_world import write_shop
from events.ingest import ingest
from events.store import open_store
from runtime.settings import Settings, load_settings
from training import years
from training.years import ACTIVE, KINDS, MONTH, NOTHING, PAID, WEEK, YEAR, year_of, years_at

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
MONTHS = YEAR // MONTH
Row = tuple[str, datetime, float | None]


def counts_by_hand(
    events: list[Row], first: datetime, now: datetime, paid: bool
) -> npt.NDArray[np.int64]:
    """User by user and week by week."""
    weeks = int((now - first) / WEEK)
    active = defaultdict(set)
    for user, at, amount in events:
        if at < now and (not paid or (amount or 0.0) > 0):
            active[user].add(min(math.ceil((now - at) / WEEK) - 1, weeks))
    found = np.zeros((weeks + 1, weeks + 1), dtype=np.int64)
    for seen in active.values():
        for week in seen:
            found[max(seen), week] += 1
    return found


def project(folder: Path, events: list[Row]) -> Settings:
    rows = pl.DataFrame(events, schema=["user", "at", "paid"], orient="row")
    rows.with_columns(event=pl.lit("visit")).write_parquet(folder / "log.parquet")
    columns = {"user_id": "user", "ts": "at", "event": "event", "amount": "paid"}
    source = {"name": "log", "path": str(folder / "log.parquet"), "columns": columns}
    asked = {"source": [source], "churn": {"horizon_days": 30}, "events": {"deduplicate": "none"}}
    found = Settings.model_validate(asked)
    found._folder = folder
    return found


MOMENTS = st.integers(-40 * 24 * 60, 90 * 24 * 60).map(lambda m: NOW - timedelta(minutes=m))


@given(seed=st.integers(0, 10**6), later=st.lists(MOMENTS, max_size=20))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_weeks_are_counted_as_by_hand_and_nothing_later_is(
    seed: int, later: list[datetime]
) -> None:
    random = np.random.default_rng(seed)
    first = NOW - timedelta(days=150)
    events: list[Row] = [("u0", first, 1.0), ("u1", NOW, 2.0), ("u1", NOW - WEEK, None)]
    events += [("u2", NOW - 2 * WEEK, -3.0), *(("u3", at, 4.0) for at in later)]
    for user in range(30):
        for minutes in random.integers(1, 149 * 24 * 60, random.integers(1, 12)):
            paid = None if minutes % 3 else float(minutes % 7) - 2.0
            events.append((f"u{user}", NOW - timedelta(minutes=int(minutes)), paid))
    with tempfile.TemporaryDirectory() as folder:
        asked = project(Path(folder), events)
        ingest(asked)
        store = open_store(asked)
        earlier = NOW - timedelta(days=40)
        found = years._counts(store, asked, [NOW, earlier], KINDS)
        for kind, paid in ((ACTIVE, False), (PAID, True)):
            for now, counts in found[kind].items():
                assert counts.tolist() == counts_by_hand(events, first, now, paid).tolist()


def counts_of(
    pace: npt.NDArray[np.float64], people: float = 1000.0, growth: float = 0.0
) -> npt.NDArray[np.int64]:
    """So many come in every week, the newest is week 0, and most of them leave soon."""
    came, week = np.tril_indices(len(pace))
    stay = 0.2 + 0.8 / (1 + 0.5 * (came - week))
    counts = np.zeros((len(pace), len(pace)), dtype=np.int64)
    counts[came, week] = np.round(people * np.exp(-growth * came) * stay * pace[week])
    return counts


def wave(weeks: int) -> npt.NDArray[np.float64]:
    """Highest 13 weeks after now, and a year before that."""
    return np.exp(0.4 * np.sin(2 * np.pi * -(np.arange(weeks) + 0.5) / YEAR))


@pytest.mark.parametrize("growth", [-0.02, 0.0, 0.02])
def test_a_year_that_repeats_itself_is_found_whatever_the_growth(growth: float) -> None:
    found = year_of(counts_of(wave(120), growth=growth))
    months = 120 // MONTH - 2 - MONTHS
    assert 0.7 < found.alike < (months - 1) / (months + 1)
    wanted = np.log(wave(120)[39:52].mean() / wave(120)[52:65].mean())
    assert found.change(0, 91, 91) == pytest.approx(found.alike * wanted, abs=0.03)


def test_leaving_is_no_season() -> None:
    found = year_of(counts_of(np.ones(120)))
    assert replace(found, alike=1.0).change(0, 91, 91) == pytest.approx(0.0, abs=0.02)
    assert replace(found, alike=1.0).change(0, 28, 7) == pytest.approx(0.0, abs=0.02)


def test_the_change_is_that_of_a_year_ago() -> None:
    pace = np.log(wave(120))
    found = a_year(1.0, pace)
    coming, last = np.exp(pace[39:52]).mean(), np.exp(pace[52:65]).mean()
    assert found.change(0, 91, 91) == pytest.approx(np.log(coming / last))
    assert a_year(0.5, pace).change(0, 91, 91) == pytest.approx(np.log(coming / last) / 2)
    assert found.change(7, 14, 3.5) == pytest.approx(pace[50] - pace[52])
    assert found.change(0, 91, 7 * 70) == 0.0  # the log does not reach so far
    assert found.change(400, 500, 7) == 0.0  # a horizon of more than a year away
    assert np.isfinite(found.change(0, 700, 91))
    assert NOTHING.change(0, 91, 91) == 0.0


def test_years_that_have_nothing_in_common_are_told() -> None:
    random = np.random.default_rng(0)
    walks = (np.exp(np.cumsum(random.normal(0, 0.1, 130))) for _ in range(60))
    assert np.mean([year_of(counts_of(walk)).alike for walk in walks]) < 0.2
    boom = np.ones(120)
    boom[60:72] = 1.8
    assert year_of(counts_of(boom)).alike < 0.2


def test_a_log_that_has_shown_nothing_moves_nothing() -> None:
    for weeks in (1, 2, YEAR, YEAR + 9):
        found = year_of(counts_of(wave(weeks)))
        assert found.alike == 0.0
        assert found.change(0, 91, 7) == 0.0
    assert year_of(counts_of(wave(120), 0.1)).change(0, 91, 7) == 0.0


def test_a_thin_week_hides_no_season() -> None:
    pace = wave(160)
    counts = counts_of(pace)
    thin = counts.copy()
    thin[:, 30] //= 1000  # a holiday, say
    wanted = year_of(counts).change(0, 91, 91)
    assert wanted > 0.2
    assert year_of(thin).change(0, 91, 91) == pytest.approx(wanted, rel=0.25)


def test_the_fewer_the_users_the_less_is_told() -> None:
    pace = np.log(wave(120))
    told = [a_year(1.0, pace, users).change(0, 91, 91) for users in (1e6, 100.0, 5.0, 0.2)]
    assert told[0] == pytest.approx(a_year(1.0, pace).change(0, 91, 91), rel=1e-4)
    assert told[0] > told[1] > told[2] > told[3] == 0.0


def test_of_shops(tmp_path: Path) -> None:
    found = {}
    for kind in ("season", "once"):
        asked = load_settings(write_shop(tmp_path / kind, kind, 3, 3000))
        ingest(asked)
        store = open_store(asked)
        now = store.covered_until
        found[kind] = years_at(store, asked, [now], KINDS)[ACTIVE][now].alike
    assert found["season"] > 0.4
    assert found["once"] < 0.3

"""Tracking quality: equal to SQL, finds what was planted, and is silent where nothing is wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.retention_naive import daily_quality
from oracles.retention_world import at, settings_in, write_store

from events.baseline import Rule, deviations
from events.contract import QUARANTINE, TIME
from events.grid import Days
from events.ingest import quarantine_path
from events.quality import Quality, quality
from runtime.tables import append

START = datetime(2024, 1, 1, tzinfo=UTC)
WEEKLY = np.array([1.0, 1.05, 1.0, 1.1, 1.3, 1.8, 1.6])


def a_log(days: int = 120, seed: int = 1, **means: float) -> pl.DataFrame:
    """Events at a weekly rhythm with noise beyond chance; those of 'buy' with an amount."""
    rng = np.random.default_rng(seed)
    frames = []
    for name, mean in (means or {"view": 300.0, "buy": 60.0, "help": 12.0}).items():
        rate = mean * WEEKLY[np.arange(days) % 7] * rng.gamma(60, 1 / 60, days)
        day = np.repeat(np.arange(days), rng.poisson(rate))
        second = rng.integers(0, 86_400, len(day))
        ts = [START + timedelta(days=int(d), seconds=int(s)) for d, s in zip(day, second)]  # noqa: B905
        frames.append(
            pl.DataFrame(
                {
                    "user_id": rng.integers(0, 500, len(day)).astype(str),
                    "ts": pl.Series(ts, dtype=TIME),
                    "event": [name] * len(day),
                    "amount": rng.gamma(2, 10, len(day)) if name == "buy" else [None] * len(day),
                },
                schema_overrides={"amount": pl.Float64()},
            )
        )
    return pl.concat(frames)


def look_at(folder: Path, log: pl.DataFrame, zone: str = "UTC") -> Quality:
    chosen = settings_in(folder, zone)
    return quality(chosen, write_store(chosen, log))


def kinds(found: Quality) -> list[tuple[str, str | None]]:
    return [(f.kind, f.event) for f in found.findings]


def later(rows: pl.DataFrame, seconds: int) -> pl.DataFrame:
    """The rows again, so that none is like another; rows of the day's last moments are left out."""
    moved = rows.with_columns(pl.col("ts") + pl.duration(seconds=seconds))
    return moved.filter(moved["ts"].dt.date() == rows["ts"].dt.date())


def on(day: int, days: int = 1) -> pl.Expr:
    start = START + timedelta(days=day)
    return (pl.col("ts") >= start) & (pl.col("ts") < start + timedelta(days=days))


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.integers(0, 200),
            st.sampled_from(["view", "buy"]),
            st.sampled_from([None, 1.0]),
        ),
        min_size=1,
        max_size=30,
    ),
    zone=st.sampled_from(["UTC", "Asia/Shanghai", "America/Los_Angeles", "Europe/Berlin"]),
)
@settings(max_examples=30, deadline=None)
def test_daily_counts_equal_those_of_sql(rows, zone, tmp_path_factory) -> None:
    log = pl.DataFrame(
        [(u, at("2024-03-29") + timedelta(minutes=30 * n), e, a) for u, n, e, a in rows],
        schema={"user_id": pl.String, "ts": TIME, "event": pl.String, "amount": pl.Float64},
        orient="row",
    )
    found = look_at(tmp_path_factory.mktemp("q"), log, zone)
    counts = found.daily.select(
        "day", "event", "rows", "users", (pl.col("null_share") * pl.col("rows")).round().cast(int)
    )
    assert counts.rows() == daily_quality(log, zone)


@pytest.mark.parametrize("seed", range(8))
def test_a_sound_log_raises_no_alarm(tmp_path: Path, seed: int) -> None:
    assert kinds(look_at(tmp_path, a_log(days=365, seed=seed))) == []


def test_a_growing_log_raises_no_alarm(tmp_path: Path) -> None:
    log = a_log(days=200)
    age = (pl.col("ts") - START).dt.total_days() / 200
    chance = pl.Series("chance", np.random.default_rng(0).random(log.height))
    grown = log.with_columns(chance).filter(pl.col("chance") < 0.1 + 0.9 * age).drop("chance")
    assert kinds(look_at(tmp_path, grown)) == []


def test_a_day_without_one_event_is_found_and_only_that(tmp_path: Path) -> None:
    found = look_at(tmp_path, a_log().filter(~(on(60) & (pl.col("event") == "buy"))))
    assert kinds(found) == [("missing", "buy")]
    (finding,) = found.findings
    assert (finding.severity, finding.first_day) == ("error", (START + timedelta(days=60)).date())
    assert "'buy' has 0 rows on 2024-03-01" in finding.message


def test_days_of_an_outage_are_one_finding_for_the_whole_log(tmp_path: Path) -> None:
    found = look_at(tmp_path, a_log().filter(~on(70, days=3)))
    assert kinds(found) == [("missing", None)]
    assert str(found.findings[0].first_day) == "2024-03-11"
    assert str(found.findings[0].last_day) == "2024-03-13"


def test_a_doubled_day_is_a_spike_of_its_event(tmp_path: Path) -> None:
    log = a_log()
    once = log.filter(on(50) & (pl.col("event") == "view"))
    again = [later(once, seconds) for seconds in (7, 13)]
    found = look_at(tmp_path, pl.concat([log, *again]))
    assert kinds(found) == [("spike", "view")]
    assert found.findings[0].severity == "warning"


def test_a_weekend_is_no_spike_and_a_weekday_at_weekend_volume_is_known(tmp_path: Path) -> None:
    """Volume that triples every weekend is that weekday's own level."""
    log = a_log(view=300.0)
    weekend = log.filter(pl.col("ts").dt.weekday() > 5)
    weekends = [later(weekend, seconds) for seconds in (7, 13)]
    assert kinds(look_at(tmp_path / "a", pl.concat([log, *weekends]))) == []
    tuesday = log.filter(on(57))
    odd = pl.concat([log, *weekends, *(later(tuesday, seconds) for seconds in (7, 13))])
    assert kinds(look_at(tmp_path / "b", odd)) == [("spike", "view")]


def test_an_event_that_vanishes_and_one_that_appears(tmp_path: Path) -> None:
    log = a_log()
    late, early = on(0, days=80), on(80, days=40)
    event = pl.col("event")
    found = look_at(tmp_path, log.filter(~(early & (event == "buy")), ~(late & (event == "help"))))
    assert kinds(found) == [("vanished", "buy"), ("appeared", "help")]
    assert "'buy' was last seen on 2024-03-20" in found.findings[0].message


def test_a_rare_event_does_not_vanish(tmp_path: Path) -> None:
    rare = pl.DataFrame(
        [
            ("u", START + timedelta(days=d), "rare", None)
            for d in (3, 9, 20, 28, 33, 47, 60, 70, 80)
        ],
        schema={"user_id": pl.String, "ts": TIME, "event": pl.String, "amount": pl.Float64},
        orient="row",
    )
    assert kinds(look_at(tmp_path, pl.concat([a_log(), rare]))) == []


def test_amounts_that_stop_coming(tmp_path: Path) -> None:
    none = pl.when(~on(65)).then(pl.col("amount"))
    found = look_at(tmp_path, a_log().with_columns(amount=none))
    assert kinds(found) == [("amounts", "buy")]
    assert found.findings[0].found == 1.0


@pytest.mark.parametrize("instant", ["1970-01-01T00:00:05", "2031-05-05T10:00:00"])
def test_rows_of_a_wrong_clock_are_stray_and_hide_nothing(tmp_path: Path, instant: str) -> None:
    stray = a_log().head(3).with_columns(ts=pl.lit(at(instant), TIME))
    found = look_at(tmp_path, pl.concat([a_log().filter(~on(70, days=3)), stray]))
    assert kinds(found) == [("stray", None), ("missing", None)] or kinds(found) == [
        ("missing", None),
        ("stray", None),
    ]
    stray_finding = next(f for f in found.findings if f.kind == "stray")
    assert stray_finding.found == 3


def test_the_last_day_is_not_judged_before_it_ends(tmp_path: Path) -> None:
    half = pl.col("ts") < START + timedelta(days=119, hours=1)
    assert kinds(look_at(tmp_path, a_log().filter(half))) == []


def test_the_quarantine_is_summed_by_source_and_reason(tmp_path: Path) -> None:
    chosen = settings_in(tmp_path)
    store = write_store(chosen, a_log(days=30))
    unread = "unreadable time '{}' in 'at'; expected %Y-%m-%d"
    reasons = [unread.format(n) for n in range(3)] + ["the user id in 'who' is empty"]
    rows = pl.DataFrame({"source": ["log"] * 4, "reason": reasons, "file": ["x.csv"] * 4})
    blank = [
        pl.lit(None, t).alias(n) for n, t in QUARANTINE.schema.items() if n not in rows.columns
    ]
    append(quarantine_path(chosen), QUARANTINE, [rows.with_columns(blank)])
    found = quality(chosen, store)
    assert found.quarantine.rows() == [
        ("log", unread.format("…"), unread.format(0), 3, 1),
        ("log", reasons[-1], reasons[-1], 1, 1),
    ]
    assert [f.severity for f in found.findings] == ["info"]
    assert "0.03% of its rows are in quarantine (4): 3 like: unread" in found.findings[0].message


def test_many_rows_refused_for_many_values_are_one_error(tmp_path: Path) -> None:
    """A third of the log, no two rows with the same text."""
    chosen = settings_in(tmp_path)
    store = write_store(chosen, a_log(days=30))
    many = store.table.rows() // 2
    reasons = [f"amount 'x{n}' in 'paid' is not a number" for n in range(many)]
    rows = pl.DataFrame({"source": "log", "reason": reasons, "file": "x.csv"})
    blank = [
        pl.lit(None, t).alias(n) for n, t in QUARANTINE.schema.items() if n not in rows.columns
    ]
    append(quarantine_path(chosen), QUARANTINE, [rows.with_columns(blank)])
    found = quality(chosen, store)
    assert [(f.kind, f.severity, f.found) for f in found.findings] == [("refused", "error", many)]
    assert "33.33% of its rows" in found.findings[0].message
    assert found.quarantine["reason"].to_list() == ["amount '…' in 'paid' is not a number"]


def test_the_result_is_json(tmp_path: Path) -> None:
    found = look_at(tmp_path, a_log(days=40).filter(~on(20)))
    assert json.loads(json.dumps(found.to_json())) == found.to_json()


def test_buckets_and_row_order_change_nothing(tmp_path: Path) -> None:
    log = a_log(days=60).filter(~on(30))
    one, many = settings_in(tmp_path / "one"), settings_in(tmp_path / "many")
    first = quality(one, write_store(one, log, buckets=1)).to_json()
    assert first == quality(many, write_store(many, log.reverse(), buckets=7)).to_json()


def test_a_log_of_one_row_is_judged_without_fuss(tmp_path: Path) -> None:
    assert kinds(look_at(tmp_path, a_log(days=1).head(1))) == []


def test_expected_is_the_median_of_the_same_weekday() -> None:
    """By hand: a flat 100 a day, 400 on Mondays (days 0, 7, ...), none on day 28."""
    rows = np.where(np.arange(70) % 7 == 0, 400, 100)[:, None].astype(np.int64)
    rows[28] = 0
    alive, days = np.ones_like(rows, dtype=np.bool_), Days(0, np.zeros(70, dtype=np.bool_))
    found = deviations(rows, alive, Rule(), days)
    assert found.expected[28, 0] == pytest.approx(400)
    assert found.expected[29, 0] == pytest.approx(100)
    assert found.sign[28, 0] == -1
    assert np.abs(found.sign).sum() == 1

"""Alerts: each rule's rate where nothing has changed, and what it says where something has."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from oracles.retention_world import as_frame, settings_in, write_store
from oracles.tracking_cases import log_of

from holdfast.cli import run
from runtime.settings import load_settings
from runtime.tables import append
from serving.alert_rules import changed_share, index_by_chance, stability_index
from serving.alerts import alerts
from serving.table import SCORES, as_of_key, scores_path

# Ninety users a day for ten weeks; on the last two whole days thirty of them: on the scale
# 2 sqrt(rows + 3/8) they are 8.0 off, where 5 sqrt(1 + pi / 8) = 5.9 are needed.
FALL = """
2024-01-01..2024-03-07 view x90
2024-03-08..2024-03-10 view x30
"""


def told(folder: Path, log: str | pl.DataFrame, **quality: object) -> list[tuple[str, str]]:
    settings = settings_in(folder, quality=quality)
    rows = log_of(log, "UTC") if isinstance(log, str) else log
    return [(a.what, a.name) for a in alerts(settings, write_store(settings, rows)).alerts]


def test_activity_that_falls(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    found = alerts(settings, write_store(settings, log_of(FALL, "UTC"))).alerts
    (dau,) = [a for a in found if a.name == "dau"]
    assert (dau.what, dau.found, dau.expected, str(dau.since)) == ("activity", 30, 90, "2024-03-08")
    assert "fewer users a day" in dau.sentence


def test_no_activity_by_the_project_s_definition_is_no_fall(tmp_path: Path) -> None:
    """What falls is no activity; the views of the same users go on."""
    log = "2024-01-01..2024-03-10 view x30\n" + FALL.replace("view", "mail")
    settings = settings_in(tmp_path, activity={"events": ["view"]}, quality={"ignore": ["drop"]})
    assert alerts(settings, write_store(settings, log_of(log, "UTC"))).alerts == ()


def test_nothing_to_tell_of_a_log_that_is_as_ever(tmp_path: Path) -> None:
    assert told(tmp_path, "2024-01-01..2024-03-10 view x30") == []


def cohorts(kept: list[int]) -> pl.DataFrame:
    """A hundred users come in each week, `kept` of them again in the next, and nobody later."""
    rows = []
    for week, count in enumerate(kept):
        for user in range(100):
            came = datetime(2024, 1, 3, tzinfo=UTC) + timedelta(days=7 * week)
            rows.append((f"{week}-{user}", came, "view"))
            if user < count:
                rows.append((f"{week}-{user}", came + timedelta(days=7), "view"))
    return as_frame(rows)


def test_retention_that_falls(tmp_path: Path) -> None:
    """Forty of a hundred come back, then five; the last cohort's next week has not ended."""
    before, week = [40, 38, 42, 41, 39] * 2, ("retention", "week 1")
    assert week in told(tmp_path, cohorts([*before, 5, 40]))
    assert week not in told(tmp_path / "b", cohorts([*before, 41, 40]))


def test_one_cohort_like_the_others_is_rarely_called_changed() -> None:
    """2,000 looks at 5 %: about 100 by chance, fewer as the spread is never below chance's."""
    rng = np.random.default_rng(0)
    for spread in (0.0, 0.03):
        wrong = 0
        for _ in range(2000):
            share = np.clip(rng.normal(0.3, spread, 10), 0.01, 0.99)
            wrong += changed_share(rng.binomial(400, share), [400] * 10, 0.05) is not None
        assert wrong <= 130


def test_a_changed_share_by_hand() -> None:
    """Earlier cohorts keep 50 of 100 each, the newest 20: pooled 0.47 of 1000, z = -5.7."""
    found = changed_share([50] * 9 + [20], [100] * 10, 0.01)
    assert found is not None
    assert (found.found, found.expected) == (0.2, 0.5)
    assert changed_share([50] * 9 + [45], [100] * 10, 0.01) is None
    assert changed_share([50, 50, 20], [100] * 3, 0.01) is None  # of two nothing is known


def test_the_stability_index_by_hand() -> None:
    """Ten bins of 10; then half of all in the first: 0.4 ln 5 + 9 (0.1 - 0.0556) ln 1.8."""
    before = np.full(10, 10)
    after = np.array([90] + [10] * 9)
    by_hand = 0.4 * np.log(5) + 9 * (0.1 - 10 / 180) * np.log(1.8)
    assert stability_index(before, after) == pytest.approx(by_hand)
    assert stability_index(before, before) == 0


def test_the_index_of_what_has_not_shifted() -> None:
    rng = np.random.default_rng(3)
    share = np.full(100, 0.01)
    seen = [
        stability_index(rng.multinomial(2000, share), rng.multinomial(3000, share))
        for _ in range(300)
    ]
    assert np.mean(seen) == pytest.approx(index_by_chance(2000, 3000), rel=0.15)
    assert max(seen) < 0.25


@pytest.mark.parametrize(("shift", "names"), [(0.0, []), (0.3, ["churn_probability"])])
def test_scores_that_are_spread_otherwise(tmp_path: Path, shift: float, names: list[str]) -> None:
    settings = settings_in(tmp_path)
    store = write_store(settings, log_of("2024-01-01..2024-03-10 view x30", "UTC"))
    rng = np.random.default_rng(5)
    for day, moved in ((1, 0.0), (8, shift)):
        at = datetime(2024, 3, day, tzinfo=UTC)
        share = np.clip(rng.beta(2, 8, 1000) + moved, 0, 1)
        frame = pl.DataFrame({"churn_probability": share}).with_columns(
            as_of_key=pl.lit(as_of_key(at)), bucket=pl.lit(0, pl.Int32), model_run_id=pl.lit("run")
        )
        missing = {n: t for n, t in SCORES.schema.items() if n not in frame.columns}
        frame = frame.with_columns(pl.lit(None, t).alias(n) for n, t in missing.items())
        append(scores_path(settings), SCORES, [frame.select(list(SCORES.schema))])
    found = alerts(settings, store)
    assert [a.name for a in found.alerts] == names
    assert found.looked_at["scores"] == "looked at"


def test_the_command_says_by_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "holdfast.toml"
    config.write_text(
        '[[source]]\nname = "log"\npath = "x.csv"\ncolumns = { user_id = "u", ts = "t" }\n'
    )
    write_store(load_settings(config), log_of(FALL, "UTC"))
    assert run(["alerts", "-c", str(config), "--json", "--device", "cpu"]) == 3
    said = json.loads(capsys.readouterr().out)
    assert {a["what"] for a in said["alerts"]} >= {"activity"}
    assert said["looked_at"]["scores"] == "nothing is scored yet"
    assert run(["alerts", "-c", str(config), "--json", "--as-of", "2024-03-05"]) == 0
    assert run(["quality", "-c", str(config), "--json", "--device", "cpu"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"findings", "events", "quarantine", "daily", "channels", "properties"} <= set(found)
    assert run(["quality", "-c", str(config), "--cluster", "local:1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == found

"""A project's own features: as computed by hand, in words, refused in one line, never ahead."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from oracles.features_logs import ATTRIBUTES, T, differences, events_frame, users_frame
from oracles.features_worked import FULL
from polars.testing import assert_frame_equal
from small_project import small_log, write_small_project

from events.ingest import ingest
from events.store import open_store
from features.dictionary import phrase
from features.leakcheck_project import leakcheck
from features.learn import learn_spec
from features.many import Bucket, features_at
from features.own import own, own_file
from features.plan import columns_of, feature_plan
from features.snapshots import build_snapshots, read, snapshot
from features.spec import FeatureSpec
from features.streams import prepare
from features.time import Cutoff
from holdfast.cli import run
from runtime.cluster import LocalProcesses
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import SettingsError
from runtime.settings import load_settings

CPU = Device("cpu", "test")
EXAMPLE = Path(__file__).parents[2] / "examples" / "own_features.py"
BERLIN = ZoneInfo("Europe/Berlin")
DAYS = (7, 30, 90, 365)
CUTOFFS = (T - timedelta(days=40), T)
RATINGS = (None, "{}", '{"rating": 4}', '{"rating": 2.5}', '{"rating": "no"}', '{"rating": null}')

HEAD = """
import polars as pl

from features.family import Family, column, within
from features.measure import Measure


def family(spec):
"""
MADE = """    measures = {"mine": Measure("events", VALUE)}
    value = within("mine", None)
    return Family(measures, (column("own_mine", "count", "what I count", "{} mine", value),))
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.py"
    path.write_text(text, encoding="utf-8")
    return path


def spec_of(path: Path) -> FeatureSpec:
    return replace(FULL, own=own_file(path))


def made_of(value: str) -> str:
    return HEAD + MADE.replace("VALUE", value)


# The same as by hand.


def log() -> list[dict[str, Any]]:
    return [
        {
            "user_id": ("a", "B", "ü")[n % 3],
            "ts": T - timedelta(minutes=977 * n + n * n % 61),
            "event": ("view", "buy", "view", "search")[n * n % 4],
            "amount": None,
            "channel": "web",
            "properties": RATINGS[n * 5 % 7 % 6],
        }
        for n in range(160)
    ]


def naive(at: datetime) -> dict[str, dict[str, Any]]:
    found = {}
    for user in ("a", "B", "ü"):
        rows = sorted(
            (r for r in log() if r["user_id"] == user and r["ts"] < at), key=lambda r: r["ts"]
        )
        found[user] = _of_rows(rows, at)
    return found


def _of_rows(rows: list[dict[str, Any]], at: datetime) -> dict[str, Any]:
    told = [json.loads(r["properties"] or "{}").get("rating") for r in rows]
    ratings = [r for r in told if isinstance(r, int | float)]
    values: dict[str, Any] = {
        "own_rating_mean": sum(ratings) / len(ratings) if ratings else None,
        "own_last_hour": float(_hour(rows[-1]) // 3 * 3),
    }
    for days in DAYS:
        recent = [r for r in rows if r["ts"] >= at - timedelta(days=days) and r["event"] == "view"]
        night = sum(_hour(r) < 6 for r in recent)
        values[f"own_night_views_{days}d"] = night
        values[f"own_night_share_{days}d"] = night / len(recent) if recent else None
    return values


def _hour(row: Mapping[str, Any]) -> int:
    hour: int = row["ts"].astimezone(BERLIN).hour
    return hour


def frame() -> pl.DataFrame:
    rows = log()
    properties = pl.Series("properties", [r["properties"] for r in rows], dtype=pl.String)
    return events_frame(rows).with_columns(properties)


def by_plan(spec: FeatureSpec) -> dict[datetime, pl.DataFrame]:
    return {
        at: collect(feature_plan(frame().lazy(), Cutoff(at), spec, None), CPU) for at in CUTOFFS
    }


def by_many(spec: FeatureSpec) -> dict[datetime, pl.DataFrame]:
    rows = collect(prepare(frame().lazy(), spec), CPU)
    found = features_at(Bucket(rows, rows, None, [Cutoff(at) for at in CUTOFFS], spec))
    return {at: found.filter(pl.col("cutoff") == at) for at in CUTOFFS}


@pytest.mark.parametrize("engine", [by_plan, by_many])
def test_own_features_are_what_one_counts_by_hand(engine: Any) -> None:
    for at, found in engine(spec_of(EXAMPLE)).items():
        mine = found.select("user_id", pl.col("^own_.*$"))
        expected = naive(at)
        rows = {row.pop("user_id"): row for row in mine.to_dicts()}
        assert differences(rows, expected) == []
        assert any(row["own_night_views_30d"] for row in expected.values())
        assert any(row["own_rating_mean"] for row in expected.values())


def test_a_count_of_floats_is_a_whole_number_in_both(tmp_path: Path) -> None:
    text = made_of("pl.col('day') / pl.col('day'), real=True")
    spec = spec_of(written(tmp_path, text))
    for engine in (by_plan, by_many):
        found = pl.concat([f.select("own_mine") for f in engine(spec).values()])
        assert found.schema == {"own_mine": pl.Int64}
        assert found["own_mine"].sum() > 100


def test_an_own_feature_may_read_an_attribute(tmp_path: Path) -> None:
    text = made_of("pl.col('amount')").replace("value = ", "value = pl.col('user: age') + ")
    path = written(tmp_path, text)
    users = users_frame({user: {"age": 30.0, "plan": None, "left": None} for user in "aBü"})
    spec = replace(spec_of(path), attributes=ATTRIBUTES)
    found = collect(feature_plan(frame().lazy(), Cutoff(T), spec, users.lazy()), CPU)
    assert found["own_mine"].to_list() == [30, 30, 30]


# In the catalogue and in snapshots.


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = write_small_project(tmp_path_factory.mktemp("own"), small_log(60), buckets=2)
    ingest(load_settings(config))
    return config


@pytest.fixture
def with_own(project: Path) -> Iterator[Path]:
    """The project's file of its own features: the example; the tests may write another."""
    before = project.read_text()
    project.write_text(before + '\n[features]\nown = "mine.py"\n')
    yield Path(shutil.copy(EXAMPLE, project.parent / "mine.py"))
    project.write_text(before)
    (project.parent / "mine.py").unlink(missing_ok=True)


def test_they_are_printed_with_their_words(
    project: Path, with_own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["features", "-c", str(project), "--json"]) == 0
    found = {e["name"]: e for e in json.loads(capsys.readouterr().out)["features"]}
    mine = found["own_night_views_30d"]
    assert mine["family"] == "own"
    assert mine["description"] == "views from midnight to six in the last 30 days"
    assert mine["unit"] == "count"
    assert mine["window_days"] == 30
    assert mine["inputs"] == ["event", "ts"]
    assert found["own_rating_mean"]["inputs"] == ["properties", "ts"]


def test_they_are_in_the_snapshot_and_in_words(project: Path, with_own: Path) -> None:
    settings = load_settings(project)
    found = snapshot(settings, [T], None, CPU)
    assert {f"own_night_share_{days}d" for days in DAYS} <= set(found.features)
    frame = read(found)
    assert frame["own_night_views_365d"].dtype == pl.Int64
    assert frame["own_night_views_365d"].sum() > 0
    spec = learn_spec(open_store(settings), Cutoff(T), settings)
    assert phrase("own_night_views_30d", 1, spec) == "1 view at night in the last 30 days"
    assert phrase("own_rating_mean", None, spec) == "never rated"


def test_another_file_is_another_snapshot(project: Path, with_own: Path) -> None:
    settings = load_settings(project)
    first = snapshot(settings, [T], None, CPU)
    assert snapshot(settings, [T], None, CPU).buckets_computed == 0
    text = with_own.read_text()
    with_own.write_text(text.replace("UNTIL_SIX = 2", "UNTIL_SIX = 8"))  # of the same length
    second = snapshot(settings, [T], None, CPU)
    assert second.path != first.path
    assert second.buckets_computed == 2
    day, night = read(second), read(first)
    assert day["own_night_views_365d"].sum() > night["own_night_views_365d"].sum()
    assert_frame_equal(day.select("recency_days"), night.select("recency_days"))


def test_other_processes_compute_them_too(project: Path, with_own: Path) -> None:
    with_own.write_text(with_own.read_text() + "# of this test alone\n")
    settings = load_settings(project)
    elsewhere = snapshot(settings, [T], None, CPU, LocalProcesses(2))
    assert elsewhere.buckets_computed == 2
    found = read(elsewhere)
    shutil.rmtree(elsewhere.path)
    assert_frame_equal(found, read(snapshot(settings, [T], None, CPU)))


# Refused in one line.


def refused(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        columns_of(spec_of(path))
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


TWICE = MADE.replace("VALUE", "pl.col('ts').is_not_null()").replace("(column(", "2 * (column(")
UNUSABLE = {
    "no function": ("x = 1\n", "line 1: defines no function 'family(spec)'; add one"),
    "no Python": ("def family(spec:\n    pass\n", "line 1: SyntaxError: '(' was never closed; c"),
    "no such module": ("\nimport nowhere_at_all\n", "line 2: ModuleNotFoundError: No module named"),
    "raises": (HEAD + "    raise ValueError('odd\\nand more')\n", "line 9: ValueError: odd; corr"),
    "exits": (HEAD + "    raise SystemExit(3)\n", "line 9: SystemExit: 3; correct it"),
    "no family": (HEAD + "    return 3\n", "line 8: family(spec) returned a int; return a feature"),
    "no column": (
        HEAD + "    return Family({}, (3,))\n",
        "line 8: its columns hold a int; make each with features.family.column",
    ),
    "a name twice": (HEAD + TWICE, "line 11: the feature name 'own_mine' is taken; choose"),
    "a name of ours": (
        made_of("pl.col('amount')").replace("own_mine", "Recency_days"),
        "line 11: the feature name 'Recency_days' is taken; choose another",
    ),
    "a column of the snapshot": (
        made_of("pl.col('amount')").replace("own_mine", "churn"),
        "line 11: the feature name 'churn' is taken",
    ),
    "a measure of ours": (
        made_of("pl.col('amount')").replace('"mine"', '"events"'),
        "line 9: the measure name 'events' is taken; choose another",
    ),
    "a unit": (
        made_of("pl.col('amount')").replace('"count"', '"euros"'),
        "line 11: feature 'own_mine' has unit 'euros'; take one of days, minutes, count",
    ),
    "a value that is no expression": (
        made_of("1"),
        "line 9: measure 'mine' has a value that is no expression; make it with polars.col",
    ),
    "no description": (
        made_of("pl.col('amount')").replace("what I count", ""),
        "line 11: feature 'own_mine' has no words; give a description",
    ),
    "no such column": (
        made_of("pl.col('price')"),
        "line 9: measure 'mine': unable to find column \"price\"",
    ),
    "no such stream": (
        made_of("pl.col('amount')").replace('Measure("events"', 'Measure("eventz"'),
        "line 9: measure 'mine' has stream 'eventz'; take one of events, active, days, purchases",
    ),
    "no such way": (
        made_of("pl.col('amount'), how='mean'"),
        "line 9: measure 'mine' has how 'mean'; take one of sum, linked",
    ),
    "no such measure": (
        made_of("pl.col('amount')").replace('within("mine"', 'within("mein"'),
        "line 11: feature 'own_mine' reads 'mein', which is no measure; declare it",
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_file_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    text, words = UNUSABLE[name]
    path = written(tmp_path, text)
    told = refused(path)
    assert told.startswith(f"{path}: ")
    assert words in told


def test_a_missing_file_is_refused_in_one_line(
    project: Path, with_own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_own.unlink()
    assert run(["features", "-c", str(project)]) == 2
    told = capsys.readouterr().err
    assert f"features.own: no file {with_own}; correct the path or leave it out" in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("command", ["features", "snapshot", "leakcheck"])
def test_commands_show_no_traceback(
    command: str, project: Path, with_own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_own.write_text(HEAD + "    raise ValueError('odd')\n")
    assert run([command, "-c", str(project)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    lines = [line for line in told.err.splitlines() if not line.startswith("device: ")]
    assert lines == [f"SettingsError: {with_own}: line 9: ValueError: odd; correct it"]


def test_a_changed_file_is_refused_in_one_line(project: Path, with_own: Path) -> None:
    settings = load_settings(project)
    store = open_store(settings)
    spec = replace(FULL, own=own_file(with_own), set="lean")
    with_own.write_text(with_own.read_text() + "# changed\n")
    with pytest.raises(SettingsError) as caught:
        build_snapshots(settings, store, [Cutoff(T)], spec, CPU, labelled=False)
    assert str(caught.value) == (
        f"{with_own}: has changed since the features were made with it; restore it, or take the "
        "snapshot or train again"
    )
    with_own.unlink()
    with pytest.raises(SettingsError, match=r"no file .*put it back"):
        own(replace(spec, set="full"))


# Under the leak check.

AHEAD = {
    "the row after": "pl.col('amount').is_not_null().shift(-1)",
    "a mean over all": "(pl.col('day') > pl.col('day').mean())",
    "rows to come": "pl.col('day').len().over('number')",
}


def leaks_of(project: Path) -> set[str]:
    found = leakcheck(load_settings(project), [T], None, users=40)
    assert found.users
    return {leak.column for leak in found.leaks}


def test_the_leak_check_passes_honest_ones(project: Path, with_own: Path) -> None:
    assert leaks_of(project) == set()


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n != "rows to come" else ()) for n in AHEAD]
)
def test_the_leak_check_catches_one_that_looks_ahead(
    name: str, project: Path, with_own: Path
) -> None:
    with_own.write_text(made_of(AHEAD[name]))
    assert leaks_of(project) == {"own_mine"}

"""The real catalogue looks at nothing beyond its cutoff, and the same check notices if it did."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from oracles.features_logs import T, events_frame, settings_of, users_frame
from oracles.features_strategies import definitions, logs, people
from small_project import small_log

from events.contract import EVENTS, TIME
from events.store import EventStore, open_store
from events.users import VALID_FROM, scan_users
from features import compute, leakcheck, leakcheck_catalogue
from features.attributes import latest
from features.definitions import Definitions
from features.leakcheck import Checked, check
from features.leakcheck_catalogue import (
    catalogue,
    choose_cutoffs,
    compute_catalogue,
    sample,
    write_world,
)
from features.leakcheck_compare import differences
from features.leakcheck_rows import Log, Scene
from features.leakcheck_worlds import WORLDS
from features.learn import learn_spec
from features.many import Bucket, features_at
from features.plan import feature_plan
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import LabelError
from runtime.settings import Activity, Churn, Eligible, Settings, Value

CPU = Device("cpu", "test")
DAY = timedelta(days=1)
MEANT = Definitions(Activity(), Eligible(within_days=60), Churn(), Value())
LEFT = Definitions(
    Activity(exclude=("search",)),
    Eligible(),
    Churn(kind="active", date_column="left", events=("search",)),
    Value(events=("purchase",)),
)
MIDDLE = datetime(2024, 5, 10, 9, 30, tzinfo=UTC)


@cache
def events() -> pl.DataFrame:
    log = small_log(60).rename(
        {"customer": "user_id", "when": "ts", "what": "event", "paid": "amount", "where": "channel"}
    )
    frame = events_frame(log.to_dicts()).drop("bucket")
    kept = {name: kind for name, kind in EVENTS.schema.items() if name != "bucket"}
    full = frame.select(
        name if name in frame.columns else pl.lit(None, kind).alias(name)
        for name, kind in kept.items()
    )
    return full.with_columns(received=pl.col("ts") + timedelta(seconds=1))


def users(in_time: bool) -> pl.DataFrame:
    ids = sorted(events()["user_id"].unique())
    rows = {
        user: {
            "age": None if number % 5 == 0 else 20.0 + number,
            "plan": (None, "free", "gold")[number % 3],
            "left": MIDDLE + (number - 30) * DAY if number % 4 == 0 else None,
        }
        for number, user in enumerate((*ids, "never seen"))
    }
    frame = users_frame(rows)
    if not in_time:
        return frame
    moved = frame.with_columns(
        pl.lit(MIDDLE + 10 * DAY, TIME).alias(VALID_FROM), age=pl.col("age") + 100, plan=pl.lit("x")
    )
    return pl.concat([frame.with_columns(pl.lit(None, TIME).alias(VALID_FROM)), moved])


def without(*columns: str) -> pl.DataFrame:
    return events().with_columns(pl.lit(None, EVENTS.schema[name]).alias(name) for name in columns)


PROJECTS: dict[str, tuple[Any, Any, Definitions]] = {
    "full": (events, lambda: users(False), MEANT),
    "attributes in time": (events, lambda: users(True), MEANT),
    "churn by date": (events, lambda: users(False), LEFT),
    "churn by date in time": (events, lambda: users(True), LEFT),
    "no users table": (events, lambda: None, MEANT),
    "bare": (
        lambda: without("amount", "channel").with_columns(event=pl.lit("log")),
        lambda: None,
        MEANT,
    ),
    "days only": (
        lambda: events().with_columns(pl.col("ts").dt.truncate("1d")),
        lambda: None,
        MEANT,
    ),
}

LONG = ("full", "churn by date", "attributes in time")  # the others have all of it


def project(meant: Definitions, log: Log, folder: Path = Path()) -> Settings:
    sections: dict[str, Any] = {"users": None} if log.users is None else {}
    return settings_of(meant, folder, **sections)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LONG else ()) for n in PROJECTS]
)
def test_the_catalogue_raises_no_alarm(name: str) -> None:
    rows, known, meant = PROJECTS[name]
    log = Log(rows(), known())
    cutoffs = [*choose_cutoffs(log, "Europe/Berlin"), Cutoff(MIDDLE)]
    if name != "full":  # each of the others at one of them
        cutoffs = [cutoffs[list(PROJECTS).index(name) % len(cutoffs)]]
    found = check(catalogue(project(meant, log)), log, cutoffs)
    assert found.leaks == ()
    assert len(found.features) >= (30 if name == "bare" else 60)
    expected = {world.name for world in WORLDS} - {"late", "attributes", "strangers", "dates"}
    assert expected <= set(found.worlds)
    assert ("attributes" in found.worlds) == name.endswith("in time")
    assert "late" in found.worlds


def test_the_catalogue_waits_for_late_events() -> None:
    late = pl.when(pl.int_range(pl.len()) % 7 == 0).then(pl.col("ts") + 9 * DAY)
    log = Log(events().with_columns(received=late))
    cutoff = choose_cutoffs(log, "UTC")[-1]
    waiting = (pl.col("ts") < cutoff.at) & (pl.col("received") >= cutoff.at)
    assert log.events.filter(waiting).height > 10
    found = check(catalogue(project(MEANT, log)), log, [cutoff])
    assert found.leaks == ()
    assert "late" in found.worlds


@hypothesis_settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(log=logs, held=people, meant=definitions, since=st.none() | st.integers(-9, 9))
def test_the_catalogue_raises_no_alarm_on_awkward_logs(
    log: Any, held: Any, meant: Definitions, since: int | None
) -> None:
    past = {"user_id": "a", "ts": T - 3 * DAY, "event": "view", "amount": 1.5, "channel": "web"}
    known = users_frame(held)
    if since is not None:
        known = known.with_columns(pl.lit(T + since * DAY, TIME).alias(VALID_FROM))
    rows = Log(events_frame([past, *log]).drop("bucket"), known)
    with suppress(LabelError):  # nobody was eligible, and nobody was in any world
        assert check(catalogue(project(meant, rows)), rows, [Cutoff(T)]).leaks == ()


def test_a_store_opened_as_of_the_cutoff_gives_the_same() -> None:
    """Scoring as of T, and training at T in a log that goes on, are the same features."""
    log = Log(events(), users(True))
    settings = project(MEANT, log)
    expected = catalogue(settings)(log.events.lazy(), log.users.lazy(), Cutoff(MIDDLE))
    for world in WORLDS:
        altered = world.alter(Scene(log, MIDDLE))
        if altered is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            there = project(MEANT, altered, Path(folder))
            write_world(there, altered)
            found = compute_catalogue(there, open_store(there, MIDDLE), Cutoff(MIDDLE))
        assert differences(found, expected) == [], world.name


def vocabulary_of_all_time(settings: Settings, store: EventStore, cutoff: Cutoff) -> pl.DataFrame:
    return _computed(settings, store, cutoff, learned=Cutoff(store.as_of))


def hours_beyond(settings: Settings, store: EventStore, cutoff: Cutoff) -> pl.DataFrame:
    return _computed(settings, store, Cutoff(cutoff.at + timedelta(hours=2)), learned=cutoff)


def attributes_of_today(settings: Settings, store: EventStore, cutoff: Cutoff) -> pl.DataFrame:
    return _computed(settings, store, cutoff, learned=cutoff, newest=True)


def _computed(
    settings: Settings, store: EventStore, cutoff: Cutoff, learned: Cutoff, newest: bool = False
) -> pl.DataFrame:
    spec = learn_spec(store, learned, settings)
    found = []
    for bucket in store.buckets:
        known = scan_users(settings, bucket)
        known = latest(known) if newest and known is not None else known
        found.append(collect(feature_plan(store.scan(bucket), cutoff, spec, known), CPU))
    return pl.concat(found)


def late_before_they_came(settings: Settings, store: EventStore, cutoff: Cutoff) -> pl.DataFrame:
    """Every event counts from when it happened."""
    spec = learn_spec(store, cutoff, settings)
    at_once = store.scan_all().with_columns(received=pl.lit(None, TIME))
    return collect(feature_plan(at_once, cutoff, spec, scan_users(settings)), CPU)


def _checked_in(name: str, monkeypatch: pytest.MonkeyPatch) -> Checked:
    """In the one world that gives the leak away."""
    worlds = tuple(world for world in WORLDS if world.name == name)
    monkeypatch.setattr(leakcheck, "WORLDS", worlds)
    log = Log(events(), users(True))
    return check(catalogue(project(MEANT, log)), log, [Cutoff(MIDDLE)])


@pytest.mark.parametrize(
    ("looks_ahead", "world"),
    [
        (vocabulary_of_all_time, "names"),
        (hours_beyond, "soon"),
        (attributes_of_today, "attributes"),
        (late_before_they_came, "late"),
    ],
)
def test_the_same_check_notices_a_catalogue_that_looks_ahead(
    looks_ahead: Any, world: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leakcheck_catalogue, "compute_catalogue", looks_ahead)
    found = _checked_in(world, monkeypatch)
    assert world in {leak.world for leak in found.leaks}


def moved_on(bucket: Bucket) -> pl.DataFrame:
    """Looks two hours beyond every cutoff."""
    beyond = timedelta(hours=2)
    later = replace(bucket, cutoffs=[Cutoff(c.at + beyond) for c in bucket.cutoffs])
    return features_at(later).with_columns(pl.col("cutoff") - beyond)


@pytest.mark.parametrize(
    ("part", "broken", "world"),
    [
        pytest.param("_missed", lambda cutoff: pl.lit(value=False), "late", marks=pytest.mark.slow),
        ("features_at", moved_on, "soon"),
    ],
)
def test_a_leak_of_the_many_cutoffs_alone_is_noticed(
    part: str, broken: Any, world: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the plan of one cutoff, which is computed beside it, is honest."""
    monkeypatch.setattr(compute, part, broken)
    found = _checked_in(world, monkeypatch)
    assert world in {leak.world for leak in found.leaks}
    assert "by the plan" in str(found.leaks)


def test_the_catalogue_is_asked_for_with_cutoffs_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, asked = Log(events()), list[tuple[Cutoff, ...]]()
    settings = project(MEANT, log, tmp_path)
    write_world(settings, log)
    honest = leakcheck_catalogue.bucket_rows

    def noted(job: Any, bucket: int) -> pl.DataFrame:
        asked.append(job.cutoffs)
        return honest(job, bucket)

    monkeypatch.setattr(leakcheck_catalogue, "bucket_rows", noted)
    for as_of in (MIDDLE, MIDDLE + 60 * DAY):
        compute_catalogue(settings, open_store(settings, as_of), Cutoff(MIDDLE))
    before, after = Cutoff(MIDDLE - 30 * DAY), Cutoff(MIDDLE + 9 * DAY)
    assert set(asked) == {(before, Cutoff(MIDDLE)), (before, Cutoff(MIDDLE), after)}


def test_the_settings_store_is_left_alone(tmp_path: Path) -> None:
    """Even one that holdfast.toml names by an absolute path."""
    log = Log(events())
    store = {"store": str(tmp_path / "elsewhere")}
    settings = settings_of(MEANT, tmp_path, users=None, project=store)
    catalogue(settings)(log.events.lazy(), None, Cutoff(MIDDLE))
    assert list(tmp_path.iterdir()) == []


def test_a_sample_is_of_whole_users_and_always_the_same(tmp_path: Path) -> None:
    log = Log(events(), users(True))
    settings = project(MEANT, log, tmp_path)
    write_world(settings, log)
    store = open_store(settings, MIDDLE)
    some, again = (sample(store, settings, 20) for _ in range(2))
    ids = some.events["user_id"].unique()
    assert len(ids) == 20
    assert some.events.equals(again.events)
    early = events().filter(pl.col("ts") < MIDDLE)
    assert some.events.height == early.filter(pl.col("user_id").is_in(ids.implode())).height
    assert some.users is not None
    assert set(ids) < set(some.users["user_id"])
    everybody = sample(store, settings, 10_000)
    assert everybody.events.height == early.height
    assert everybody.users is not None
    assert everybody.users.height == log.users.height


def test_chosen_cutoffs_have_a_past_and_a_future() -> None:
    for rows in (events(), events().head(2), without("amount").sort("ts").head(3)):
        found = choose_cutoffs(Log(rows), "Europe/Berlin")
        assert found
        for cutoff in found:
            assert rows["ts"].min() < cutoff.at <= rows["ts"].max()
    one, exact, midnight = choose_cutoffs(Log(events()), "Europe/Berlin")
    assert (events()["ts"] == one.at - timedelta(minutes=1)).any()
    assert (events()["ts"] == exact.at).any()
    assert midnight.at.hour == 22
    with pytest.raises(LabelError, match="all events lie at one instant"):
        choose_cutoffs(Log(events().head(1)), "UTC")

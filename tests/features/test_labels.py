"""Labels: worked by hand, against a naive version and SQL, and the published CDNOW cohort."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from oracles import features_labels
from oracles.features_logs import (
    T,
    differences,
    events_frame,
    settings_of,
    users_frame,
    write_store,
)
from oracles.features_strategies import definitions, logs, people

from events.contract import EVENTS, TIME
from events.store import EventStore, open_store
from features.definitions import Definitions
from features.labels import label_plan
from features.learn import learn_spec
from features.matured import matured_cutoffs, require_matured
from features.plan import feature_plan
from features.time import Cutoff
from runtime import tables
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import LabelError
from runtime.settings import Activity, Churn, Eligible, Settings, Value

CPU = Device("cpu", "test")
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
CDNOW = Path(__file__).parents[2].parent / "shared" / "data" / "cdnow" / "CDNOW_master.txt"


def settings_with(churn: Churn, **sections: Any) -> Settings:
    return settings_of(Definitions(Activity(), Eligible(), churn, Value()), **sections)


def labelled(
    log: list[dict[str, Any]], settings: Settings, users: dict[str, Any] | None = None
) -> dict[str, tuple[Any, Any]]:
    known = users_frame(users or {}).lazy()
    plan = label_plan(events_frame(log).lazy(), Cutoff(T), settings, known)
    return {user: (churn, value) for user, churn, value in collect(plan, CPU).iter_rows()}


def event(at: timedelta, name: str = "view", **other: Any) -> dict[str, Any]:
    base = {"user_id": "a", "event": name, "amount": None, "channel": None}
    return base | {"ts": T + at} | other


SEEN = event(-DAY)


@hypothesis_settings(max_examples=150, deadline=None)
@given(
    log=logs,
    meant=definitions,
    users=people,
    horizons=st.tuples(st.sampled_from((1, 7, 30)), st.sampled_from((None, 7, 60))),
)
def test_labels_equal_the_naive_ones(
    log: Any, meant: Definitions, users: Any, horizons: tuple[int, int | None]
) -> None:
    churn = meant.churn.model_copy(update={"horizon_days": horizons[0]})
    value = meant.value.model_copy(update={"horizon_days": horizons[1]})
    settings = settings_of(Definitions(meant.activity, meant.eligible, churn, value))
    expected = features_labels.labels(log, T, settings, users)
    found = labelled(log, settings, users)
    as_rows = [{u: {"churn": c, "value": v} for u, (c, v) in t.items()} for t in (found, expected)]
    assert differences(*as_rows) == []


@pytest.mark.parametrize(
    ("later", "churn"),
    [
        ([], 1),
        ([timedelta()], 1),  # at t, in the gap
        ([7 * DAY - TICK], 1),  # the gap's last instant
        ([7 * DAY], 0),  # the span's first instant
        ([37 * DAY - TICK], 0),  # its last
        ([37 * DAY], 1),  # its end lies outside
    ],
)
def test_passive_churn_is_silence_in_the_span(later: list[timedelta], churn: int) -> None:
    settings = settings_with(Churn(kind="passive", horizon_days=30, gap_days=7))
    assert labelled([SEEN, *map(event, later)], settings)["a"][0] == churn


@pytest.mark.parametrize(
    ("at", "churn"),
    [
        (-TICK, 0),
        (timedelta(), None),
        (7 * DAY - TICK, None),
        (7 * DAY, 1),
        (37 * DAY - TICK, 1),
        (37 * DAY, 0),
    ],
)
def test_active_churn_is_an_act_in_the_span(at: timedelta, churn: int | None) -> None:
    by_event = Churn(kind="active", events=("cancel",), horizon_days=30, gap_days=7)
    assert labelled([SEEN, event(at, "cancel")], settings_with(by_event))["a"][0] == churn
    by_date = Churn(kind="active", date_column="left", horizon_days=30, gap_days=7)
    users = {"a": {"age": None, "plan": None, "left": T + at}}
    assert labelled([SEEN], settings_with(by_date), users)["a"][0] == churn


@pytest.mark.parametrize(
    ("renewals", "churn"),
    [
        ([-1], 1),  # covers until day 29
        ([-1, 29], 0),  # renewed as it runs out: in time, covers until day 59
        ([-1, 30], 1),  # a day too late
        ([-30], None),  # runs out at t, in the gap
        ([-29], None),  # runs out on day 1
        ([-23], 1),  # runs out on day 7, the span's first instant
        ([-23, 7], 1),  # renewed then, runs out on day 37
        ([-23, 7, 37], 0),
        ([-1, 10, 20, 40], 0),
    ],
)
def test_lapse_is_the_first_uncovered_instant(renewals: list[int], churn: int | None) -> None:
    lapse = Churn(
        kind="lapse", events=("buy",), period_days=28, grace_days=2, horizon_days=31, gap_days=7
    )
    log = [event(days * DAY, "buy") for days in renewals]
    assert labelled(log, settings_with(lapse))["a"][0] == churn


def test_value_is_what_is_spent_in_the_value_horizon() -> None:
    settings = settings_with(
        Churn(horizon_days=7, gap_days=1), value={"horizon_days": 30, "events": ["buy"]}
    )
    at = [timedelta(), DAY, 31 * DAY - TICK, 31 * DAY]
    log = [SEEN, *(event(a, "buy", amount=float(10**n)) for n, a in enumerate(at))]
    log += [event(2 * DAY, "view", amount=5.0), event(2 * DAY, "buy", amount=None)]
    assert labelled(log, settings)["a"] == (0, 110.0)
    plan = label_plan(events_frame(log).lazy(), Cutoff(T), settings, None, has_amount=False)
    assert collect(plan, CPU)["value"].to_list() == [None]


@hypothesis_settings(max_examples=25, deadline=None)
@given(log=logs, gap=st.sampled_from((0, 7)))
def test_counts_and_labels_equal_those_of_sql(log: Any, gap: int) -> None:
    settings = settings_with(Churn(horizon_days=30, gap_days=gap))
    frame = events_frame(log)
    expected = features_labels.passive_in_sql(frame, T, gap, 30)
    labels = collect(label_plan(frame.lazy(), Cutoff(T), settings, None), CPU)
    assert labels.sort("user_id")["churn"].to_list() == expected["churn"].to_list()
    assert labels.sort("user_id")["value"].to_list() == pytest.approx(expected["value"].to_list())


# --- CDNOW: 23,570 customers who first bought in early 1997 ---------------------------------


def cdnow_log() -> pl.DataFrame:
    lines = pl.read_csv(CDNOW, separator="\n", infer_schema=False, new_columns=["line"])
    parts = lines.select(p=pl.col("line").str.strip_chars().str.replace_all(r"\s+", "|"))
    split = parts.select(pl.col("p").str.split("|"))
    midnight = pl.col("p").list.get(1).str.to_datetime("%Y%m%d", time_unit="us", time_zone="UTC")
    return split.select(
        user_id=pl.col("p").list.get(0),
        ts=midnight,
        event=pl.lit("cdnow"),
        amount=pl.col("p").list.get(3).cast(pl.Float64),
        channel=pl.lit(None, dtype=pl.String),
        event_id=pl.lit(None, dtype=pl.String),
        source=pl.lit("cdnow"),
        properties=pl.lit(None, dtype=pl.String),
        received=pl.lit(None, dtype=TIME),
        bucket=pl.lit(0, dtype=pl.Int32),
    )


@pytest.fixture(scope="module")
def cdnow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not CDNOW.exists():
        pytest.skip("the CDNOW data set is not at ../shared/data/cdnow")
    folder = tmp_path_factory.mktemp("cdnow")
    tables.append(folder / "store" / "events", EVENTS, [cdnow_log()])
    return folder


def cdnow_settings(folder: Path, horizon_days: int) -> Settings:
    churn = Churn(kind="passive", horizon_days=horizon_days)
    return settings_of(Definitions(Activity(), Eligible(), churn, Value()), folder, users=None)


OCTOBER = datetime(1997, 10, 1, tzinfo=UTC)


def test_cdnow_labels_match_the_published_cohort(cdnow: Path) -> None:
    settings = cdnow_settings(cdnow, 273)
    store = open_store(settings)
    labels = collect(label_plan(store.scan_all(), Cutoff(OCTOBER), settings, None), CPU)
    assert labels.height == 23_570
    assert (labels["churn"] == 0).sum() == 7_058
    assert labels["value"].sum() == pytest.approx(776_961.13, abs=0.005)


def test_cdnow_features_equal_plain_aggregates(cdnow: Path) -> None:
    settings = cdnow_settings(cdnow, 182)
    store = open_store(settings, OCTOBER)
    spec = learn_spec(store, Cutoff(OCTOBER), settings)
    assert not (spec.has_events)
    assert not (spec.has_times)
    assert not (spec.has_channels)
    plan = feature_plan(store.scan_all(), Cutoff(OCTOBER), spec, None)
    found = collect(plan, CPU).sort("user_id")
    expected = features_labels.passive_in_sql(cdnow_log(), OCTOBER, 0, 182)
    for name, column in (("events_total", "n"), ("events_30d", "n_30"), ("purchases_30d", "n_30")):
        assert found[name].to_list() == expected[column].to_list()
    assert found["active_days_total"].to_list() == expected["days"].to_list()
    assert found["amount_total"].to_list() == pytest.approx(expected["spent"].to_list())


def test_cdnow_has_one_matured_cutoff_for_182_days_and_none_for_273(cdnow: Path) -> None:
    store = open_store(cdnow_settings(cdnow, 182), OCTOBER)
    april = Cutoff(datetime(1997, 4, 2, tzinfo=UTC))
    assert matured_cutoffs(store, cdnow_settings(cdnow, 182)) == [april]
    with pytest.raises(LabelError, match=r"horizon of 273 days .* mature is 182 days"):
        matured_cutoffs(store, cdnow_settings(cdnow, 273))


# --- which cutoffs have matured --------------------------------------------------------------


def store_of(folder: Path, days: int, settings: Settings | None = None) -> EventStore:
    """A log with an event at T and one that many days later, complete up to the last."""
    settings = settings or settings_with(Churn())
    settings._folder = folder
    write_store(settings, [event(timedelta()), event(days * DAY - TICK)])
    return open_store(settings, T + days * DAY)


def test_cutoffs_lie_apart_and_newest_first(tmp_path: Path) -> None:
    settings = settings_with(
        Churn(horizon_days=10, gap_days=2), training={"cutoffs": 4}, value={"horizon_days": 20}
    )
    store = store_of(tmp_path, 60, settings)
    found = [(cutoff.at - T).days for cutoff in matured_cutoffs(store, settings)]
    assert found == [38, 28, 18]  # 60 - 2 - 20, every 10 days, at least 10 of history


@pytest.mark.parametrize("days", [2, 3, 4, 5, 30, 100, 272, 273, 274])
def test_the_longest_horizon_named_is_the_longest_that_matures(tmp_path: Path, days: int) -> None:
    store = store_of(tmp_path, days)
    with pytest.raises(LabelError) as error:
        matured_cutoffs(store, settings_with(Churn(horizon_days=3650)))
    named = int(str(error.value).split(" days (")[0].split()[-1])
    assert matured_cutoffs(store, settings_with(Churn(horizon_days=named)))
    with pytest.raises(LabelError):
        matured_cutoffs(store, settings_with(Churn(horizon_days=named + 1)))


def test_a_log_too_short_for_any_label_says_so(tmp_path: Path) -> None:
    store = store_of(tmp_path, 5)
    with pytest.raises(LabelError, match="ingest a longer log"):
        matured_cutoffs(store, settings_with(Churn(gap_days=5)))


def test_a_cutoff_without_labels_or_history_is_named(tmp_path: Path) -> None:
    settings = settings_with(Churn(horizon_days=10))
    store = store_of(tmp_path, 30, settings)
    require_matured(Cutoff(T + 20 * DAY), store, settings)
    with pytest.raises(LabelError, match="choose a cutoff at or before 2024-04-20T12:30"):
        require_matured(Cutoff(T + 20 * DAY + TICK), store, settings)
    with pytest.raises(LabelError, match="the log begins at 2024-03-31T12:30"):
        require_matured(Cutoff(T), store, settings)

"""Days that events name in advance: which are learned, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from oracles.features_logs import T, by_user, events_frame, settings_of, users_frame, write_store
from oracles.features_worked import FULL, row

from events.store import open_store
from features.catalogue import entries
from features.compute import Job, bucket_rows
from features.definitions import Definitions
from features.dictionary import phrase
from features.learn import learn_spec
from features.plan import feature_plan
from features.properties import Deadline, text_of
from features.spec import FeatureSpec
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.settings import Activity, Churn, Eligible, Value

CPU = Device("cpu", "a test")
PLAIN = Definitions(Activity(), Eligible(), Churn(), Value())
DAY = timedelta(days=1)
MIDNIGHT = datetime(2024, 3, 31, tzinfo=UTC)
AHEAD = (MIDNIGHT - T) / DAY  # of the day of T itself
EXPIRY = Deadline("expire_date", "compact")


def told(ago: float, /, **properties: str) -> dict[str, Any]:
    """An event so many days before T, with properties as the store has them."""
    held = json.dumps(properties, ensure_ascii=False, separators=(",", ":"))
    return row(ago * 24 * 60, properties=held)


def day(ahead: float) -> str:
    return f"{MIDNIGHT + ahead * DAY:%Y%m%d}"


def learned(
    folder: Path, log: Sequence[Mapping[str, Any]], buckets: int = 1, **limits: Any
) -> FeatureSpec:
    settings = settings_of(PLAIN, folder, features=limits)
    write_store(settings, log, buckets)
    return learn_spec(open_store(settings), Cutoff(T), settings)


LOG = [
    told(
        1 + n,
        membership_expire_date=day(30 - n),
        trialEnd=f"{MIDNIGHT + n * DAY:%d/%m/%Y}",
        delivered_at=f"2024-03-{1 + n:02d}",
        due=f"{10 + n}.50",
        next_payment=f"{1_700_000_000 + 86_400 * n}",
        paid_until="2024-05-01" if n % 2 else "never",
    )
    for n in range(20)
]


def test_days_that_are_named_so_are_learned_and_no_others(tmp_path: Path) -> None:
    """What was filled in afterwards looks alike: a name promises that it was not."""
    found = learned(tmp_path, LOG)
    assert found.deadlines == (
        Deadline("membership_expire_date", "compact"),
        Deadline("next_payment", "epoch_s"),
    )
    assert "due" in [number.name for number in found.numbers]
    assert "membership_expire_date" not in [one.name for one in found.categories]


def test_the_settings_say_which(tmp_path: Path) -> None:
    asked = ["trialEnd", "delivered_at"]
    found = learned(tmp_path / "named", LOG, deadlines=asked)
    assert found.deadlines == (Deadline("delivered_at"), Deadline("trialEnd", "dmy"))
    assert learned(tmp_path / "none", LOG, deadlines=[]).deadlines == ()


@pytest.mark.parametrize("buckets", [1, 3])
def test_what_comes_at_the_cutoff_or_after_teaches_nothing(tmp_path: Path, buckets: int) -> None:
    later = [told(-n, expires=day(n)) for n in range(60)]
    known = learned(tmp_path / "past", LOG)
    found = learned(tmp_path / "all", [*LOG, *later], buckets)
    assert found.deadlines == known.deadlines


def _features(log: Sequence[Mapping[str, Any]], spec: FeatureSpec) -> dict[str, Any]:
    plan = feature_plan(events_frame(log).lazy(), Cutoff(T), spec, users_frame({}).lazy())
    return by_user(collect(plan, CPU))["a"]


def test_they_are_as_computed_by_hand() -> None:
    log = [
        told(60, expire_date=day(40)),
        told(10, expire_date=day(20)),
        told(5, expire_date="19700101"),  # stands for none
        told(3, plan="gold"),
        told(0, expire_date=day(90)),  # at the cutoff
    ]
    found = _features(log, replace(FULL, deadlines=(EXPIRY,)))
    assert found["deadline_latest_expire_date"] == pytest.approx(20 + AHEAD)
    assert found["deadline_furthest_expire_date"] == pytest.approx(40 + AHEAD)
    assert found["deadline_span_expire_date"] == pytest.approx(30 + AHEAD)


def test_who_has_none_has_no_days_and_takes_none_of_the_user_before() -> None:
    log = [told(9, expire_date=day(20)) | {"user_id": "B"}, told(5, plan="gold")]
    plan = feature_plan(
        events_frame(log).lazy(),
        Cutoff(T),
        replace(FULL, deadlines=(EXPIRY,)),
        users_frame({}).lazy(),
    )
    found = by_user(collect(plan, CPU))
    for name in ("latest", "furthest", "span"):
        assert found["a"][f"deadline_{name}_expire_date"] is None
        assert found["B"][f"deadline_{name}_expire_date"] is not None


def test_a_day_that_arrived_late_is_known_from_then_on(tmp_path: Path) -> None:
    log = [told(60, expire_date=day(1)), told(5, expire_date=day(30)) | {"received": T + DAY}]
    settings = settings_of(PLAIN, tmp_path)
    write_store(settings, log)
    at = (Cutoff(T), Cutoff(T + 2 * DAY))
    spec = replace(FULL, deadlines=(EXPIRY,))
    store = open_store(settings, T + 3 * DAY)
    frame = bucket_rows(Job(settings, store, at, spec, CPU), 0).sort("cutoff")
    found = frame["deadline_latest_expire_date"].to_list()
    assert found == pytest.approx([1 + AHEAD, 28 + AHEAD])


@pytest.mark.parametrize(
    ("layout", "text", "wanted"),
    [
        ("ymd", "2024-02-29", "2024-02-29"),
        ("ymd", "2024-2-9T23:59:59+02:00", "2024-02-09"),
        ("ymd", "2023-02-29", None),
        ("ymd", "20240229", None),
        ("compact", "20240229", "2024-02-29"),
        ("compact", "202402291", None),
        ("dmy", "31.12.2024", "2024-12-31"),
        ("mdy", "12/31/2024", "2024-12-31"),
        ("mdy", "31/12/2024", None),
        ("epoch_s", "1709164800", "2024-02-29"),
        ("epoch_ms", "1709251199999", "2024-02-29"),
        ("ymd", "1989-12-31", None),
        ("ymd", "2100-01-01", None),
        ("ymd", "", None),
    ],
)
def test_days_are_read(layout: Any, text: str, wanted: str | None) -> None:
    held = json.dumps({"d": text}, separators=(",", ":"))
    found = (
        pl.DataFrame({"properties": [held]}).select(Deadline("d", layout).read(text_of("d"))).item()
    )
    epoch = datetime(1970, 1, 1)
    assert found == (None if wanted is None else (datetime.fromisoformat(wanted) - epoch).days)


def test_they_have_words_and_say_what_they_are_made_of() -> None:
    spec = replace(FULL, set="default", deadlines=(Deadline("paidUntil"),))
    made = {one.name: one for one in entries(spec) if one.family == "deadlines"}
    assert len(made) == 3
    assert all("properties" in one.inputs for one in made.values())
    assert phrase("deadline_latest_paiduntil", 12.2, spec) == "'paidUntil' is in 12 days"
    assert phrase("deadline_latest_paiduntil", -2.2, spec) == "'paidUntil' is 2 days ago"
    assert phrase("deadline_latest_paiduntil", None, spec) == "no 'paidUntil' ever"


def test_a_spec_keeps_them() -> None:
    spec = replace(FULL, deadlines=(EXPIRY, Deadline("until")))
    raw = json.loads(json.dumps(spec.to_dict()))
    assert FeatureSpec.from_dict(raw) == spec

"""Numbers among the properties of events: which are learned, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles.features_logs import T, by_user, events_frame, settings_of, users_frame, write_store
from oracles.features_worked import FULL, row
from oracles.naive_numbers import value

from events.contract import EVENTS
from events.store import open_store
from features.catalogue import entries
from features.definitions import Definitions
from features.dictionary import phrase
from features.learn import learn_spec
from features.plan import feature_plan
from features.properties import Number, text_of
from features.spec import FeatureSpec
from features.time import Cutoff
from runtime import tables
from runtime.collect import collect
from runtime.device import Device
from runtime.settings import Activity, Churn, Eligible, Value

CPU = Device("cpu", "a test")
PLAIN = Definitions(Activity(), Eligible(), Churn(), Value())


def told(ago: float, /, **properties: str) -> dict[str, Any]:
    """An event so many minutes before T, with properties as the store has them."""
    held = json.dumps(properties, ensure_ascii=False, separators=(",", ":"))
    return row(ago, properties=held)


def learned(
    folder: Path, log: Sequence[Mapping[str, Any]], buckets: int = 1, **limits: Any
) -> tuple[Number, ...]:
    settings = settings_of(PLAIN, folder, features=limits)
    write_store(settings, log, buckets)
    return learn_spec(open_store(settings), Cutoff(T), settings).numbers


def test_numbers_are_learned_and_nothing_else(tmp_path: Path) -> None:
    log = [
        told(
            1 + n,
            minutes=f"{n / 4}",
            megabytes=f"{n},5",
            order=f"{20_000_000 + n}",
            seats="3",
            plan="gold" if n % 2 else "free",
            mixed=f"{n}" if n % 10 else "many",
            **({"rare": f"{n}"} if n == 7 else {}),
        )
        for n in range(200)
    ]
    found = learned(tmp_path, log, rare_share=0.01)
    assert [(one.name, one.decimal) for one in found] == [("megabytes", ","), ("minutes", ".")]


def test_the_most_frequent_are_taken_and_none_where_none_is_asked_for(tmp_path: Path) -> None:
    log = [
        told(
            1 + n, a=f"{n}", **({"b": f"{n}"} if n % 2 else {}), **({"c": f"{n}"} if n % 3 else {})
        )
        for n in range(60)
    ]
    found = learned(tmp_path / "two", log, most_numbers=2)
    assert [number.name for number in found] == ["a", "c"]
    assert learned(tmp_path / "none", log, most_numbers=0) == ()


def test_the_busiest_kind_of_event_leaves_room_for_others(tmp_path: Path) -> None:
    plays = [told(1 + n, **dict.fromkeys("abcd", f"{n % 9}")) for n in range(60)]
    paid = [told(1 + n, paid=f"{n}", seats=f"{n % 5}") | {"event": "buy"} for n in range(20)]
    found = learned(tmp_path / "three", [*plays, *paid], most_numbers=3)
    assert [number.name for number in found] == ["a", "b", "paid"]
    found = learned(tmp_path / "four", [*plays, *paid], most_numbers=4)
    assert [number.name for number in found] == ["a", "b", "paid", "seats"]


def test_what_counts_with_the_calendar_is_no_number(tmp_path: Path) -> None:
    day = 24 * 60
    log = [
        told(1 + n * day / 4, week=f"{90 - n // 28}", seats=f"{n % 7}", level=f"{n % 40 + n // 50}")
        for n in range(1_200)
    ]
    assert [number.name for number in learned(tmp_path, log)] == ["level", "seats"]


def test_of_a_file_without_names_many_whole_numbers_are_ids(tmp_path: Path) -> None:
    log = [
        told(1 + n, column_2=f"{n % 60}", column_3=f"{n % 11 - 5}", column_4=f"{n % 60}.5")
        for n in range(200)
    ]
    found = learned(tmp_path, log)
    assert [number.name for number in found] == ["column_3", "column_4"]


@pytest.mark.parametrize(
    ("usual", "odd", "bounds"),
    [
        (["1", "100"], "1e15", (-990.0, 1100.0)),  # 1 - 10 * 99, and 100 + 10 * 99 = 1090, outward
        (["1", "100"], "-9.2e15", (-990.0, 1100.0)),
        (["0", "0.004"], "5", (-0.041, 0.044)),  # outward from what is a little below -0.04
        (["7", "7"], "500", (-1e30, 1e30)),  # nearly all are the same
        (["0.5", "9e29"], "0.1", (-1e30, 1e30)),
    ],
)
def test_what_is_far_from_all_others_is_no_number(
    tmp_path: Path, usual: list[str], odd: str, bounds: tuple[float, float]
) -> None:
    log = [told(1 + n, x=odd if n == 700 else usual[n % 2]) for n in range(2_000)]
    (number,) = learned(tmp_path, log)
    assert number == Number("x", ".", *bounds)
    values = events_frame(log).select(number.read(text_of(number.name)).alias("x"))["x"]
    assert values.null_count() == (not bounds[0] <= float(odd) <= bounds[1])


def test_a_bound_itself_is_a_number() -> None:
    number = Number("x", ".", -1.5, 4.0)
    log = events_frame([told(n, x=x) for n, x in enumerate(("-1.6", "-1.5", "4", "4.01"))])
    assert log.select(number.read(text_of(number.name)).alias("x"))["x"].to_list() == [
        None,
        -1.5,
        4.0,
        None,
    ]


@pytest.mark.parametrize("buckets", [1, 3])
def test_what_comes_at_the_cutoff_or_after_teaches_nothing(tmp_path: Path, buckets: int) -> None:
    past = [told(1 + n, minutes=f"{n}") for n in range(40)]
    users = ("a", "B", "007", "ü")
    past = [one | {"user_id": users[n % 4]} for n, one in enumerate(past)]
    later = [told(-n, minutes="many", hours=f"{n}") for n in range(60)]
    late = [told(30 + n, hours=f"{n}") | {"received": T} for n in range(60)]
    known = learned(tmp_path / "past", past, 1)
    assert known == (Number("minutes", ".", -390.0, 430.0),)
    assert learned(tmp_path / "all", [*past, *later], buckets) == known
    settings = settings_of(PLAIN, tmp_path / "late")
    write_store(settings, [*past, *later])
    frame = events_frame(late).with_columns(received=pl.lit(T).cast(pl.Datetime("us", "UTC")))
    tables.append(settings.store / "events", EVENTS, [frame])
    assert learn_spec(open_store(settings), Cutoff(T), settings).numbers == known


def _features(log: Sequence[Mapping[str, Any]], spec: FeatureSpec) -> dict[str, Any]:
    plan = feature_plan(events_frame(log).lazy(), Cutoff(T), spec, users_frame({}).lazy())
    return by_user(collect(plan, CPU))["a"]


def test_they_are_as_computed_by_hand() -> None:
    day = 24 * 60
    log = [
        told(60 * day, minutes="30"),
        told(30 * day, minutes="10"),
        told(10 * day, plan="gold"),
        told(0, minutes="999"),  # at the cutoff
    ]
    found = _features(log, replace(FULL, numbers=(Number("minutes"),)))
    lately = (30 / 4 + 10 / 2) / (1 / 4 + 1 / 2)
    assert found["number_mean_minutes"] == 20
    assert found["number_lately_minutes"] == pytest.approx(lately)
    assert found["number_lately_over_mean_minutes"] == pytest.approx(lately / 20)
    assert found["number_total_30d_minutes"] == 10
    assert found["number_mean_30d_minutes"] == 10


def test_who_has_none_has_no_mean() -> None:
    found = _features([told(5, plan="gold")], replace(FULL, numbers=(Number("minutes"),)))
    assert found["number_total_30d_minutes"] == 0
    means = ("mean", "lately", "lately_over_mean", "mean_30d")
    assert all(found[f"number_{mean}_minutes"] is None for mean in means)


NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
TEXTS = st.sampled_from(
    ("2.5", "-3", "1e3", "nan", "inf", "", "x", "1,5", "1.234,5", "1 234,5", "12 34", "1.5e", "+7")
) | st.text(max_size=6)


@given(
    st.dictionaries(NAMES, TEXTS, min_size=1, max_size=4), st.sampled_from((".", ",")), st.data()
)
def test_any_name_is_read_and_no_text_is_taken_for_one(
    properties: dict[str, str], mark: Any, data: st.DataObject
) -> None:
    """Names and values with quotes, brackets and backslashes in them."""
    asked = data.draw(st.sampled_from(sorted(properties)) | NAMES)
    held = pl.DataFrame([properties]).select(pl.struct(pl.all()).struct.json_encode()).item()
    number = Number(asked, mark)
    found = pl.DataFrame({"properties": [held]}).select(number.read(text_of(number.name))).item()
    expected = value({"properties": held}, number)
    if expected is not None and _plain(properties[asked], mark):
        assert found == expected
    else:
        assert found is None or expected is not None


def _plain(text: str, mark: str) -> bool:
    """Python reads more than is written in logs: '1_000', blanks, digits of other scripts."""
    return (text.isascii() and not set(text) & set("_ \t\n\r\f\v")) or mark == ","


def test_they_have_words_and_say_what_they_are_made_of() -> None:
    spec = replace(FULL, set="default", numbers=(Number("voice_minutes"),))
    made = {one.name: one for one in entries(spec) if one.family == "numbers"}
    assert len(made) == 5
    assert all("properties" in one.inputs for one in made.values())
    for name in made:
        assert "'voice minutes'" in phrase(name, 12.5, spec)
        assert "'voice minutes'" in phrase(name, None, spec)


def test_a_spec_keeps_them() -> None:
    spec = replace(FULL, numbers=(Number("mb", ","), Number("min")))
    raw = json.loads(json.dumps(spec.to_dict()))
    assert FeatureSpec.from_dict(raw) == spec


def test_the_order_of_rows_that_tie_changes_no_digit() -> None:
    """Sums of floats depend on their order: rows of one instant lie in one, whatever came first."""
    log = [told(5, minutes=f"{0.1 * n}") for n in range(40)]
    log += [one | {"ts": one["ts"] - timedelta(days=9)} for one in log]
    spec = replace(FULL, numbers=(Number("minutes"),))
    once, twice = _features(log, spec), _features(log[::-1], spec)
    assert once == twice

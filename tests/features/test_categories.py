"""Texts among the properties of events: which are learned, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from features.properties import Category
from features.spec import FeatureSpec
from features.time import Cutoff
from runtime.collect import collect
from runtime.device import Device
from runtime.settings import Activity, Churn, Eligible, Value

CPU = Device("cpu", "a test")
PLAIN = Definitions(Activity(), Eligible(), Churn(), Value())
DAY = 24 * 60
GOOD = "it was good, and came on the day that was promised "
PLAN = Category("plan", ("free", "gold"))


def told(ago: float, /, **properties: str) -> dict[str, Any]:
    """An event so many minutes before T, with properties as the store has them."""
    held = json.dumps(properties, ensure_ascii=False, separators=(",", ":"))
    return row(ago, properties=held)


def learned(
    folder: Path, log: Sequence[Mapping[str, Any]], buckets: int = 1, **limits: Any
) -> FeatureSpec:
    settings = settings_of(PLAIN, folder, features=limits)
    write_store(settings, log, buckets)
    return learn_spec(open_store(settings), Cutoff(T), settings)


def test_texts_that_come_again_are_learned_and_nothing_else(tmp_path: Path) -> None:
    log = [
        told(
            1 + n,
            plan="gold" if n % 3 else "free",
            product=f"p{n % 90}",
            order=f"{20_000_000 + n // 2}",
            shop_id=f"{n % 7}",
            StockCode=f"{n % 70}",
            receiver=f"{n % 50}",
            line=f"x{n}",
            seats=f"{n % 4}",
            day=f"2024-03-{1 + n % 20:02d}",
            expires=f"202403{1 + n % 20:02d}",
            same="always",
            comment=GOOD + "very " * (n % 9),
            **({"rare": f"{n % 2}x"} if n < 2 else {}),
        )
        for n in range(200)
    ]
    found = learned(tmp_path, log, rare_share=0.01, most_categories=9)
    assert [number.name for number in found.numbers] == ["seats"]
    assert found.categories == (
        Category("StockCode"),
        Category("comment", (GOOD, GOOD + "very ")),  # the rest is longer than a name
        Category("order"),
        PLAN,
        Category("product"),
        Category("receiver", ("0", "1", "10", "11")),
        Category("shop_id", ("0", "1", "2", "3")),
    )


def test_the_most_frequent_are_taken_and_none_where_none_is_asked_for(tmp_path: Path) -> None:
    log = [
        told(1 + n, a=f"{n % 3}a", **{name: f"{n % 3}b" for name in "bc" if n % (ord(name) - 95)})
        for n in range(60)
    ]
    two = learned(tmp_path / "two", log, most_categories=2)
    assert [one.name for one in two.categories] == ["a", "c"]
    assert learned(tmp_path / "none", log, most_categories=0).categories == ()


@pytest.mark.parametrize("buckets", [1, 3])
def test_what_comes_at_the_cutoff_or_after_teaches_nothing(tmp_path: Path, buckets: int) -> None:
    past = [told(1 + n, plan="gold" if n % 3 else "free") for n in range(40)]
    users = ("a", "B", "007", "ü")
    past = [one | {"user_id": users[n % 4]} for n, one in enumerate(past)]
    later = [told(-n, plan="new", shop=f"{n % 2}x") for n in range(60)]
    late = [told(30 + n, plan="late", shop=f"{n % 2}x") | {"received": T} for n in range(60)]
    known = learned(tmp_path / "past", past).categories
    assert known == (PLAN,)
    assert learned(tmp_path / "all", [*past, *later, *late], buckets).categories == known


def _features(log: Sequence[Mapping[str, Any]], spec: FeatureSpec) -> dict[str, Any]:
    plan = feature_plan(events_frame(log).lazy(), Cutoff(T), spec, users_frame({}).lazy())
    return by_user(collect(plan, CPU))["a"]


def test_they_are_as_computed_by_hand() -> None:
    log = [
        told(60 * DAY, plan="free"),
        told(40 * DAY, plan="free"),
        told(20 * DAY, plan="gold"),
        told(10 * DAY, plan="trial"),
        told(9 * DAY, plan="gold"),
        told(2 * DAY, seats="3"),
        told(0, plan="free"),  # at the cutoff
    ]
    found = _features(log, replace(FULL, categories=(PLAN,)))
    assert found["category_different_plan"] == 3
    assert found["category_each_plan"] == 5 / 3
    assert found["category_30d_new_plan"] == 2
    assert (found["category_latest_plan_is_free"], found["category_latest_plan_is_gold"]) == (0, 1)
    assert found["category_share_plan_is_free"] == 2 / 5
    assert found["category_30d_share_plan_is_free"] == 0
    assert found["category_30d_share_plan_is_gold"] == 2 / 3


def test_who_has_none_has_no_shares() -> None:
    found = _features([told(5, seats="3")], replace(FULL, categories=(PLAN,)))
    assert found["category_different_plan"] == found["category_30d_new_plan"] == 0
    assert found["category_latest_plan_is_gold"] == 0
    nothing = ("each_plan", "share_plan_is_gold", "30d_share_plan_is_gold")
    assert all(found[f"category_{name}"] is None for name in nothing)


def test_a_text_that_arrived_late_is_new_where_it_is_first_known(tmp_path: Path) -> None:
    """The same rows at two cutoffs: the first text of the product was told between them."""
    log = [
        told(90 * DAY, shop="a"),
        told(60 * DAY, shop="b") | {"received": T},
        told(10 * DAY, shop="b"),
    ]
    settings = settings_of(PLAIN, tmp_path)
    write_store(settings, log)
    spec = replace(FULL, categories=(Category("shop"),))
    store = open_store(settings)
    at = (Cutoff(T), Cutoff(T + (T - log[2]["ts"])))
    frame = bucket_rows(Job(settings, store, at, spec, CPU), 0).sort("cutoff")
    assert frame["category_different_shop"].to_list() == [2, 2]
    assert frame["category_30d_new_shop"].to_list() == [1, 0]


@pytest.mark.parametrize("value", ['say "gold"', "a\\b", "ü ß", "tab\there", "x" * 60])
def test_any_text_is_found_again(tmp_path: Path, value: str) -> None:
    log = [told(1 + n, plan=value if n % 2 else "free") for n in range(20)]
    spec = learned(tmp_path, log)
    assert len(spec.categories) == 1
    assert len(spec.categories[0].values) == 2
    found = _features(log, spec)
    shares = [found[name] for name in found if name.startswith("category_share_")]
    assert shares == [0.5, 0.5]


def test_names_that_look_alike_have_columns_of_their_own() -> None:
    both = (Category("a", ("b c",)), Category("a b", ("c",)), Category("a_b"))
    spec = replace(FULL, categories=both)
    names = [one.name for one in entries(spec) if one.family == "categories"]
    assert len(names) == len(set(names)) == 3 * 3 + 2 * 3


def test_they_have_words_and_say_what_they_are_made_of() -> None:
    spec = replace(FULL, set="default", categories=(Category("price_plan", ('\\"gold\\"',)),))
    made = {one.name: one for one in entries(spec) if one.family == "categories"}
    assert len(made) == 6
    assert all("properties" in one.inputs for one in made.values())
    for name in made:
        assert "'price plan'" in phrase(name, 1.0, spec)
        assert "'price plan'" in phrase(name, None, spec)
    said = phrase("category_latest_price_plan_is_gold", 1.0, spec)
    assert said == "the latest 'price plan' is '\"gold\"'"


def test_a_spec_keeps_them() -> None:
    spec = replace(FULL, categories=(PLAN, Category("shop")))
    raw = json.loads(json.dumps(spec.to_dict()))
    assert FeatureSpec.from_dict(raw) == spec


def test_of_events_of_one_instant_the_latest_is_the_same_in_any_order() -> None:
    log = [told(5, plan="free"), told(5, plan="gold"), told(5, plan="trial")]
    spec = replace(FULL, categories=(PLAN,))
    assert _features(log, spec) == _features(log[::-1], spec)

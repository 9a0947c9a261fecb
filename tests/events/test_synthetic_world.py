"""The synthetic world is seeded, independent of its size, and looks like a service."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from events.synthetic import World, generate
from events.synthetic_hidden import simulate
from events.synthetic_laws import (
    CANCELLED,
    ENGAGEMENT,
    PAYMENT,
    PURSE,
    RESPONSE,
    SUPPORT,
    TEMPERAMENT,
    Move,
    laws_of,
)
from events.synthetic_rates import rates_of
from events.synthetic_scene import EVENTS
from events.synthetic_world import BLOCK_USERS, draw_cast
from runtime.errors import UsageError

WORLD = World(users=4 * BLOCK_USERS, seed=11)


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return generate(WORLD)


def test_the_same_seed_gives_the_same_events_and_another_seed_others() -> None:
    small = World(users=300, seed=3)
    assert_frame_equal(generate(small), generate(small))
    assert not generate(small).equals(generate(World(users=300, seed=4)))


def test_a_users_history_does_not_depend_on_how_many_users_there_are(log: pl.DataFrame) -> None:
    few = generate(World(users=BLOCK_USERS + 100, seed=11))
    assert few["user_id"].n_unique() == BLOCK_USERS + 100
    assert_frame_equal(few, log.filter(pl.col("user_id").is_in(few["user_id"].unique().implode())))


def test_every_user_signs_up_first_and_everything_lies_in_the_world(log: pl.DataFrame) -> None:
    assert log["ts"].min() >= WORLD.start_at  # type: ignore[operator]
    assert log["ts"].max() < WORLD.end_at  # type: ignore[operator]
    signup = pl.col("ts").filter(pl.col("event") == "signup")
    by_user = log.group_by("user_id").agg(signup.first(), first=pl.col("ts").min())
    assert by_user.height == WORLD.users
    assert (by_user["ts"] == by_user["first"]).all()


def test_no_event_comes_on_a_day_after_the_cancellation_and_none_cancels_twice(
    log: pl.DataFrame,
) -> None:
    left = log.filter(pl.col("event") == "cancel").select("user_id", left="ts")
    assert left["user_id"].is_unique().all()
    after = log.join(left, on="user_id").filter(
        pl.col("ts").dt.date() > pl.col("left").dt.date() + pl.duration(days=1)
    )
    assert after.is_empty()


def test_event_ids_are_unique_and_exact_in_json(log: pl.DataFrame) -> None:
    assert log["event_id"].is_unique().all()
    assert log["event_id"].max() < 2**52  # type: ignore[operator]


def test_all_kinds_of_events_and_channels_occur(log: pl.DataFrame) -> None:
    assert set(log["event"].unique()) == set(EVENTS)
    assert log["channel"].n_unique() == 5


def test_amounts_have_the_signs_of_their_kinds(log: pl.DataFrame) -> None:
    money = log.filter(pl.col("amount").is_not_null())
    assert set(money["event"].unique()) == {"payment", "purchase", "refund"}
    assert (money.filter(pl.col("event") == "payment")["amount"] > 0).all()
    assert (money.filter(pl.col("event") == "purchase")["amount"] >= 0).all()
    assert (money.filter(pl.col("event") == "refund")["amount"] < 0).all()


def test_people_sleep_and_rest_on_holidays(log: pl.DataFrame) -> None:
    visits = log.filter(pl.col("event").is_in(["view", "play"]), pl.col("channel") == "web")
    hours = visits["ts"].dt.hour().value_counts().sort("ts")["count"]
    assert hours.max() > 2 * hours.min()  # type: ignore[operator]
    days = visits["ts"].dt.date().value_counts()
    usual = days.filter(pl.col("ts").is_between(date(2024, 12, 9), date(2024, 12, 20)))["count"]
    christmas = days.filter(pl.col("ts").is_between(date(2024, 12, 24), date(2024, 12, 26)))
    assert christmas["count"].mean() < 0.85 * usual.mean()  # type: ignore[operator]


def test_the_price_rise_shows_in_payments_of_some_plans_only(log: pl.DataFrame) -> None:
    paid = log.filter(pl.col("event") == "payment")
    rise = WORLD.at(WORLD.price_rise_day)
    before = set(paid.filter(pl.col("ts") < rise)["amount"].round(2))
    after = set(paid.filter(pl.col("ts") >= rise)["amount"].round(2))
    assert before == {8.0, 13.0, 20.0}
    assert after == {9.6, 14.95, 20.0}


def test_the_campaign_goes_to_a_random_half_on_its_day(log: pl.DataFrame) -> None:
    sent = log.filter(pl.col("event") == "campaign_sent")
    assert sent["ts"].dt.date().unique().to_list() == [WORLD.at(WORLD.campaign_day).date()]
    there = _there(WORLD)
    assert abs(sent.height / there - 0.5) < 4 * np.sqrt(0.25 / there)


def _there(world: World) -> int:
    """Users who have joined by the campaign's day and have not cancelled."""
    count = 0
    for block in range(world.blocks):
        cast = draw_cast(world, block)
        state = simulate(world, cast, block).state_at(world.campaign_day)
        count += int(((cast.signup < world.campaign_day) & (state != CANCELLED)).sum())
    return count


def test_more_engagement_means_more_events_and_a_lower_hazard() -> None:
    rates, laws = rates_of(WORLD), laws_of(WORLD)
    calm = (PAYMENT == 0) & (SUPPORT == 0)
    order = np.argsort(ENGAGEMENT[calm], kind="stable")
    for rate in (rates.visits, rates.emails, rates.purchases):
        assert (np.diff(rate[0, calm][order]) >= 0).all()
    by_plan = laws.moves[0, calm, Move.CANCEL].reshape(6, 3)
    assert (np.diff(by_plan, axis=0) < 0).all()
    assert (np.diff(by_plan, axis=1) < 0).all()


def test_trouble_pulls_the_hazard_up_for_the_engaged_and_down_for_the_others() -> None:
    hazard = laws_of(WORLD).moves[0, :, Move.CANCEL].reshape(6, 3, 2, 3)
    failed, ticket = hazard[:, 1, 0] / hazard[:, 0, 0], hazard[:, 0, 1] / hazard[:, 0, 0]
    for factor in (failed, ticket):
        assert (factor[:2] < 1).all()
        assert (factor[2:] > 5).all()
    silent = laws_of(WORLD).moves[0, :, Move.SILENT].reshape(6, 3, 2, 3)
    assert (silent[:, 1] > silent[:, 0]).all()


def test_restless_users_leave_more_and_the_price_rise_hurts_the_thrifty_most() -> None:
    laws = laws_of(WORLD)
    others = (PURSE == 0) & (RESPONSE == 0)
    by_temperament = [laws.moves[others & (t == TEMPERAMENT), 0, 0][0] for t in range(3)]
    assert by_temperament == sorted(by_temperament)
    day = WORLD.price_rise_day
    assert (laws.shock[day - 1] == 1).all()
    assert laws.shock[day, 0, 0] > laws.shock[day, 1, 0] > laws.shock[day + 60, 1, 0] > 1
    assert (laws.shock[:, :, 2] == 1).all()


def test_probabilities_of_every_day_are_within_their_ceiling() -> None:
    laws = laws_of(WORLD)
    for day in (0, WORLD.price_rise_day, WORLD.campaign_day + 5, WORLD.days + 100):
        total = laws.moves_on(day).sum(axis=2)
        assert (total <= laws.ceiling + 1e-12).all()
    assert laws.ceiling.max() < 1


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"users": 0}, "users is 0"), ({"days": -1}, "days is -1"), ({"treated_share": 2.0}, "2.0")],
)
def test_an_impossible_world_is_refused(wrong: dict[str, float], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        World(**wrong)  # type: ignore[arg-type]

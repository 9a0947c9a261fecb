"""The oracle is exact: simulation agrees with it, as closely as chance allows.

The simulation jumps between changes by thinning and draws real amounts; the oracle solves the
backward equation day by day. They share the tables of probabilities and nothing else.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from events.synthetic import World, generate, oracle, uplift
from events.synthetic_hidden import simulate
from events.synthetic_laws import STATES, Move
from events.synthetic_oracle import CHURN, outlook
from events.synthetic_world import BLOCK_USERS, RESPONSES, draw_cast
from runtime.errors import UsageError

MOST_Z = 3.5
WORLD = World(users=12 * BLOCK_USERS, seed=21)
DAYS = (200, 430, 620)  # in calm, in the price shock, in the campaign


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return generate(WORLD)


def _outcome(log: pl.DataFrame, day: int, gap: int, churn: int, value: int) -> pl.DataFrame:
    """The oracle's rows with what was really logged: `left` and `spent`."""
    start = WORLD.at(day) + timedelta(days=gap)

    def within(days: int) -> pl.Expr:
        return pl.col("ts").is_between(start, start + timedelta(days=days), closed="left")

    happened = log.group_by("user_id").agg(
        left=((pl.col("event") == "cancel") & within(churn)).any(),
        spent=pl.col("amount").filter(within(value)).sum(),
    )
    return oracle(WORLD, WORLD.at(day), gap, churn, value).join(happened, on="user_id")


def _z_chance(rows: pl.DataFrame) -> float:
    p, left = rows["churn_probability"].to_numpy(), rows["left"].to_numpy()
    return float((left - p).sum() / np.sqrt((p * (1 - p)).sum()))


def _z_mean(miss: npt.NDArray[np.float64]) -> float:
    return float(miss.mean() / (miss.std() / np.sqrt(miss.size)))


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize(("gap", "churn", "value"), [(0, 30, 30), (7, 20, 75)])
def test_simulation_agrees_with_the_oracle(
    log: pl.DataFrame, day: int, gap: int, churn: int, value: int
) -> None:
    rows = _outcome(log, day, gap, churn, value)
    assert abs(_z_chance(rows)) < MOST_Z
    assert abs(_z_mean((rows["spent"] - rows["expected_value"]).to_numpy())) < MOST_Z


def test_it_is_calibrated_in_every_tenth(log: pl.DataFrame) -> None:
    rows = pl.concat(_outcome(log, day, 0, 30, 30) for day in DAYS).filter("alive")
    for name in ("churn_probability", "expected_value"):
        place = rows[name].rank("ordinal")
        tenth = (place - 1) * 10 // rows.height
        for k in range(10):
            part = rows.filter(tenth == k)
            miss = (part["spent"] - part["expected_value"]).to_numpy()
            assert abs(_z_chance(part)) < MOST_Z, (name, k)
            assert abs(_z_mean(miss)) < MOST_Z, (name, k)


def test_over_many_users_the_sum_of_probabilities_is_the_count_of_cancellations() -> None:
    """A tight one, without events: the relative error allowed is about 2 %."""
    world, day = World(users=150 * BLOCK_USERS, seed=5), 480
    promise = outlook(world, day, 0, 30, 30)
    miss = variance = expected = 0.0
    for block in range(world.blocks):
        cast = draw_cast(world, block)
        history = simulate(world, cast, block)
        here = cast.signup < day
        chance = promise[history.state_at(day), CHURN, cast.group, cast.signup % 30][here]
        cancels = (history.move == Move.CANCEL) & (history.move_day >= day)
        left = np.zeros(BLOCK_USERS)
        left[history.move_user[cancels & (history.move_day < day + 30)]] = 1
        miss += float((left[here] - chance).sum())
        variance += float((chance * (1 - chance)).sum())
        expected += float(chance.sum())
    assert abs(miss) / np.sqrt(variance) < MOST_Z
    assert abs(miss) / expected < 0.04


def test_it_ranks_well_and_the_base_rate_is_a_services(log: pl.DataFrame) -> None:
    rows = pl.concat(_outcome(log, day, 0, 30, 30) for day in (380, 500, 620)).filter("alive")
    assert 0.04 < rows["left"].mean() < 0.08  # type: ignore[operator]
    assert 0.80 < roc_auc_score(rows["left"], rows["churn_probability"]) < 0.90


def test_those_who_left_cannot_leave_again_and_pay_nothing(log: pl.DataFrame) -> None:
    rows = _outcome(log, 620, 0, 30, 30)
    gone = rows.filter(~pl.col("alive"))
    assert gone.height > 1000
    assert (gone["churn_probability"] == 0).all()
    assert (gone["expected_value"] == 0).all()
    assert not gone["left"].any()
    assert gone["spent"].abs().sum() == 0


def test_a_longer_horizon_holds_more_and_two_halves_make_the_whole() -> None:
    at = WORLD.at(300)
    whole = oracle(WORLD, at, 0, 60, 60)
    halves = [oracle(WORLD, at, gap, 30, 30) for gap in (0, 30)]
    for name in ("churn_probability", "expected_value"):
        both = halves[0][name] + halves[1][name]
        assert (whole[name] - both).abs().max() < 1e-9  # type: ignore[operator]
    assert (whole["churn_probability"] >= halves[0]["churn_probability"]).all()


def test_only_those_who_joined_before_the_cutoff_are_told() -> None:
    at = WORLD.at(300)
    joined = sum(int((draw_cast(WORLD, b).signup < 300).sum()) for b in range(WORLD.blocks))
    assert oracle(WORLD, at).height == joined
    assert oracle(WORLD, at).equals(oracle(WORLD, at + timedelta(hours=13)))
    assert oracle(WORLD, WORLD.start_at).is_empty()


def test_a_cutoff_outside_the_world_is_refused() -> None:
    with pytest.raises(UsageError, match="lies outside the synthetic world"):
        oracle(WORLD, WORLD.end_at + timedelta(days=1))
    with pytest.raises(UsageError, match="at most"):
        oracle(WORLD, WORLD.start_at, churn_horizon_days=9999)


def test_uplift_differs_by_response() -> None:
    effect = uplift(WORLD).group_by("response").agg(pl.col("uplift", "value_uplift").mean())
    by_type = {row["response"]: row for row in effect.to_dicts()}
    assert by_type["persuadable"]["uplift"] > 0.01
    assert by_type["persuadable"]["value_uplift"] > 0
    assert by_type["sleeping_dog"]["uplift"] < -0.01
    for unmoved in ("sure_thing", "lost_cause"):
        assert abs(by_type[unmoved]["uplift"]) < 1e-12


def test_uplift_is_empty_where_the_campaign_never_comes() -> None:
    assert uplift(World(users=100, days=60)).is_empty()


def test_the_simulated_difference_of_treated_and_untreated_is_the_oracles() -> None:
    """Worlds in which all and none are treated, against each one's own oracle, by response."""
    day = 610
    rates: dict[tuple[int, int], float] = {}
    for treated in (0, 1):
        world = World(users=60 * BLOCK_USERS, seed=8, treated_share=float(treated))
        promise = outlook(world, day, 0, 30, 30)
        sums = np.zeros((len(RESPONSES), 3))
        for block in range(world.blocks):
            cast = draw_cast(world, block)
            history = simulate(world, cast, block)
            state = history.state_at(day)
            here = (cast.signup < day) & (state < STATES)
            chance = promise[state, CHURN, cast.group, cast.signup % 30]
            cancels = (history.move == Move.CANCEL) & (history.move_day >= day)
            left = np.zeros(BLOCK_USERS)
            left[history.move_user[cancels & (history.move_day < day + 30)]] = 1
            for k in range(len(RESPONSES)):
                mine = here & (cast.response == k)
                p = chance[mine]
                sums[k] += left[mine].sum() - p.sum(), (p * (1 - p)).sum(), mine.sum()
                rates[k, treated] = rates.get((k, treated), 0.0) + float(left[mine].sum())
        assert (np.abs(sums[:, 0]) / np.sqrt(sums[:, 1]) < MOST_Z).all()
        for k in range(len(RESPONSES)):
            rates[k, treated] /= sums[k, 2]
    assert rates[0, 1] < 0.75 * rates[0, 0]  # persuadables stay
    assert rates[3, 1] > 1.3 * rates[3, 0]  # sleeping dogs are woken

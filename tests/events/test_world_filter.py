"""The filter of the synthetic world: as the naive one says, calibrated, and blind to the future.

The oracle knows the hidden state. Among users whom the log cannot tell apart its mean is the
filter's forecast: a test of the filter against the simulation, which it shares only laws with.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from oracles.world_filter_naive import posterior

from benchmarks.knowable import told_groups, told_state
from benchmarks.world_evidence import Evidence, evidence
from benchmarks.world_filter import believed
from events.synthetic_hidden import simulate
from events.synthetic_laws import GROUPS, PURSE, RESPONSE, STATES, TEMPERAMENT, TREATED
from events.synthetic_log import block_log
from events.synthetic_oracle import outlook
from events.synthetic_world import BLOCK_USERS, DAY_MS, World, draw_cast

MOST_Z = 3.5
SMALL = World(users=BLOCK_USERS, seed=4, days=160, price_rise_day=40, campaign_day=80)
CUTOFF = 130
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def _staying(world: World, block: int, day: int) -> Ints:
    cast = draw_cast(world, block)
    state = simulate(world, cast, block).state_at(day)
    return np.flatnonzero((cast.signup < day) & (state != STATES))


def _seen(world: World, block: int, users: Ints, day: int) -> Evidence:
    return evidence(world, block_log(world, block)[0], draw_cast(world, block), users, day)


def test_it_says_what_the_naive_filter_says() -> None:
    cast, log = draw_cast(SMALL, 0), block_log(SMALL, 0)[0]
    users = _staying(SMALL, 0, CUTOFF)
    seen = _seen(SMALL, 0, users, CUTOFF)
    rare = ("support_solved", "payment_failed", "plan_change", "purchase", "refund")
    rare += ("notifications_on", "notifications_off", "campaign_sent")
    wanted = {int(np.flatnonzero(seen.total(event))[k]) for event in rare for k in (0, 1)}
    late = np.flatnonzero(seen.signup >= SMALL.campaign_day)
    both = np.flatnonzero((seen.counts["payment"] > 0) & (seen.counts["payment_failed"] > 0))
    wanted |= {int(k) for k in late[:3]} | {int(k) % users.size for k in both[:2]}
    belief = believed(SMALL, seen, CUTOFF)
    for k in sorted(wanted):
        naive = posterior(SMALL, log, cast, int(users[k]), CUTOFF)
        ours = np.zeros((GROUPS, STATES + 1))
        ours[:, belief.states[k]] = belief.weight[k]
        ours[:, STATES] = belief.gone[k]
        assert np.abs(ours - naive).max() < 1e-9, users[k]


def test_nothing_at_or_after_the_cutoff_matters() -> None:
    cast, log = draw_cast(SMALL, 0), block_log(SMALL, 0)[0]
    users = _staying(SMALL, 0, CUTOFF)
    before = log.take(log.ts < SMALL.start_ms + CUTOFF * DAY_MS)
    whole, cut = (believed(SMALL, evidence(SMALL, rows, cast, users, CUTOFF), CUTOFF)
                  for rows in (log, before))  # fmt: skip
    assert before.rows < log.rows
    assert np.array_equal(whole.weight, cut.weight)
    assert np.array_equal(whole.gone, cut.gone)


@pytest.fixture(scope="module")
def many() -> dict[str, Floats]:
    """Of the users of some blocks: what the filter believes and what is so."""
    world, day = World(users=4 * BLOCK_USERS, seed=21), 640
    promise = outlook(world, day, 0, 30, 30)
    columns: dict[str, list[Floats]] = {}
    for block in range(world.blocks):
        users, cast = _staying(world, block, day), draw_cast(world, block)
        belief = believed(world, _seen(world, block, users, day), day)
        state = simulate(world, cast, block).state_at(day)[users]
        group, phase = cast.group[users], cast.signup[users] % 30
        promised = promise[belief.states, :, :, phase[:, None]]
        known = np.einsum("ngs,nscg->nc", belief.weight, promised)
        found = {
            "known": known,
            "spread": np.einsum("ngs,nscg->nc", belief.weight, promised**2) - known**2,
            "oracle": promise[state, :, group, phase],
            "told_class": told_groups(belief, promised, np.arange(GROUPS) == group[:, None]),
            "told_state": told_state(belief, promised, state),
            "classes": belief.weight.sum(axis=2) + belief.gone,
            "group": group,
            "sum": (belief.weight.sum(axis=2) + belief.gone).sum(axis=1),
            "gone": np.stack([belief.gone.sum(axis=1), state > STATES], axis=1),
        }
        for name, column in found.items():
            columns.setdefault(name, []).append(column)
    return {name: np.concatenate(parts) for name, parts in columns.items()}


@pytest.mark.slow
@pytest.mark.parametrize("what", [0, 1], ids=["churn", "value"])
def test_the_oracles_mean_is_its_forecast_in_every_fifth(
    many: dict[str, Floats], what: int
) -> None:
    known, oracle, spread = (many[name][:, what] for name in ("known", "oracle", "spread"))
    assert np.allclose(many["sum"], 1)
    assert np.corrcoef(known, oracle)[0, 1] > 0.8
    for part in np.array_split(np.argsort(known), 5):
        miss = (oracle - known)[part]
        one = np.abs(miss).max()  # a single user about to leave unseen, among those who stay
        assert abs(miss.sum()) < MOST_Z * np.sqrt(spread[part].sum()) + one
    assert abs(oracle.mean() / known.mean() - 1) < 0.05


def test_it_believes_in_classes_and_silence_as_often_as_they_are_so(
    many: dict[str, Floats],
) -> None:
    group = many["group"]
    for parts in (TEMPERAMENT, PURSE, RESPONSE, TREATED):
        for kind in range(int(parts.max()) + 1):
            believed_in = many["classes"][:, parts == kind].sum(axis=1)
            for rows in np.array_split(np.argsort(believed_in), 3):
                p, real = believed_in[rows].clip(0, 1), parts[group[rows]] == kind
                assert abs((real - p).sum()) <= MOST_Z * np.sqrt((p * (1 - p)).sum()) + 1e-9
    p, real = many["gone"].T
    assert abs((real - p).sum()) / np.sqrt((p * (1 - p)).sum()) < MOST_Z


def test_to_be_told_more_brings_it_nearer_to_the_oracle(many: dict[str, Floats]) -> None:
    def miss(name: str) -> Floats:
        return ((many[name] - many["oracle"]) ** 2).mean(axis=0)

    for told in ("told_class", "told_state"):
        assert (miss(told) < miss("known")).all()


def test_it_refuses_who_has_cancelled() -> None:
    state = simulate(SMALL, draw_cast(SMALL, 0), 0).state_at(CUTOFF)
    users = np.flatnonzero(state == STATES)[:1]
    with pytest.raises(AssertionError, match="cancelled"):
        believed(SMALL, _seen(SMALL, 0, users, CUTOFF), CUTOFF)

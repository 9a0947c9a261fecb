"""The best possible forecast: exact probabilities and expectations given the hidden state.

Backward over the days of the horizon (Kolmogorov's backward equation on the finite chain): what
a state promises on the morning of day d is what its payment and its moves of day d bring, plus
what the states they lead to promise on the morning of d + 1. Cancelled and silently gone are
absorbing and promise nothing; in particular a silent leaver, who can no longer cancel, has
churn probability 0.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl

from events.synthetic_hidden import simulate
from events.synthetic_laws import (
    GROUPS,
    LOOKAHEAD_DAYS,
    PAYMENT_EVERY_DAYS,
    PLAN,
    STATES,
    Laws,
    Move,
    laws_of,
)
from events.synthetic_rates import rates_of
from events.synthetic_world import (
    BLOCK_USERS,
    CLASSES,
    PURSES,
    RESPONSES,
    TEMPERAMENTS,
    Cast,
    Flags,
    Floats,
    Ints,
    World,
    draw_cast,
)
from runtime.errors import UsageError

CHURN, VALUE = 0, 1


def user_names(block: int, world: World) -> list[str]:
    """User ids as text, of the block's users that the world has."""
    first = block * BLOCK_USERS
    return [f"u{k:07d}" for k in range(first, min(first + BLOCK_USERS, world.users))]


def oracle(
    world: World,
    cutoff: datetime,
    gap_days: int = 0,
    churn_horizon_days: int = 30,
    value_horizon_days: int = 30,
    treated: bool | None = None,
) -> pl.DataFrame:
    """Each user who joined before the cutoff: user_id, alive, churn_probability, expected_value.

    The probability of an explicit cancellation in `[t + gap, t + gap + churn horizon)` and the
    expected sum of payments, purchases and refunds in `[t + gap, t + gap + value horizon)`,
    given the hidden state at t; exact where t is a UTC midnight, else t is floored to one.
    `alive`: neither cancelled nor silently gone. `treated` says what if all or none had been
    drawn for the campaign. Raises UsageError for a cutoff outside the world.
    """
    day = _known_day(world, cutoff, gap_days + max(churn_horizon_days, value_horizon_days))
    promise = outlook(world, day, gap_days, churn_horizon_days, value_horizon_days)
    frames = []
    for block in range(world.blocks):
        cast = draw_cast(world, block)
        state = simulate(world, cast, block).state_at(day)
        promised = promise[state, :, _group(cast, treated), cast.signup % PAYMENT_EVERY_DAYS]
        frames.append(_shown(block, world, cast.signup < day, state, promised))
    return pl.concat(frames)


def uplift(world: World, horizon_days: int = 30) -> pl.DataFrame:
    """The campaign's effect on each user who was there for it, from the hidden state of its
    day: user_id, response, treated, churn_if_treated, churn_if_untreated, uplift (the fall in
    the probability to cancel), value_uplift. Empty for a world that ends before the campaign."""
    schema = {"user_id": pl.String, "response": pl.String, "treated": pl.Boolean}
    if world.campaign_day >= world.days:
        numbers = ("churn_if_treated", "churn_if_untreated", "uplift", "value_uplift")
        return pl.DataFrame(schema={**schema, **dict.fromkeys(numbers, pl.Float64)})
    at = world.at(world.campaign_day)
    both = [oracle(world, at, 0, horizon_days, horizon_days, treated=t) for t in (True, False)]
    joined = both[0].join(both[1], on=("user_id", "alive"), suffix="_not")
    return (
        joined.filter("alive")
        .join(classes(world).select(schema.keys()), on="user_id", maintain_order="left")
        .select(
            *schema.keys(),
            churn_if_treated="churn_probability",
            churn_if_untreated="churn_probability_not",
            uplift=pl.col("churn_probability_not") - pl.col("churn_probability"),
            value_uplift=pl.col("expected_value") - pl.col("expected_value_not"),
        )
    )


def outlook(
    world: World, day: int, gap_days: int, churn_horizon_days: int, value_horizon_days: int
) -> Floats:
    """What each state promises on the morning of `day`, before its payment: shape (STATES + 2
    absorbing; 2: churn, value; GROUPS; day of the round of payments)."""
    laws, rates = laws_of(world), rates_of(world)
    promise = np.zeros((STATES + 2, 2, GROUPS, PAYMENT_EVERY_DAYS))
    begin = day + gap_days
    for d in range(begin + max(churn_horizon_days, value_horizon_days) - 1, day - 1, -1):
        counts = [begin <= d < begin + h for h in (churn_horizon_days, value_horizon_days)]
        moves = np.ascontiguousarray(laws.moves_on(d).transpose(1, 0, 2))
        gain = np.zeros((STATES, 2, GROUPS))
        if counts[CHURN]:
            gain[:, CHURN] = moves[:, :, Move.CANCEL]
        if counts[VALUE]:
            owed = laws.price[d, PLAN] * (laws.paid != np.arange(STATES))
            gain[:, VALUE] = rates.earned(d).T + moves[:, :, Move.MEND] * owed[:, None]
        promise[:STATES] = _after_moves(laws, moves, promise) + gain[..., None]
        _pay_morning(laws, promise, d, counts[VALUE])
    return promise


def _after_moves(laws: Laws, moves: Floats, promise: Floats) -> Floats:
    after: Floats = promise[:STATES] * (1 - moves.sum(axis=2))[:, None, :, None]
    for move in Move:
        if move in (Move.CANCEL, Move.SILENT):
            continue  # they lead to states that promise nothing
        states = np.flatnonzero(moves[:, 0, move])
        chance = moves[states, :, move][:, None, :, None]
        after[states] += chance * promise[laws.target[move, states]]
    return after


def _pay_morning(laws: Laws, promise: Floats, d: int, counts: bool) -> None:
    """In place, for those whose payment falls on day d."""
    phase = d % PAYMENT_EVERY_DAYS
    due = promise[:STATES, :, :, phase]
    fails = laws.payment_fails[:, None, None]
    tried = fails * due[laws.failed] + (1 - fails) * due[laws.paid]
    if counts:
        tried[:, VALUE] += ((1 - laws.payment_fails) * laws.price[d, PLAN])[:, None]
    promise[:STATES, :, :, phase] = tried


def classes(world: World) -> pl.DataFrame:
    """Hidden classes by user: user_id, temperament, purse, response, treated."""
    frames = []
    for block in range(world.blocks):
        names, cast = user_names(block, world), draw_cast(world, block)
        frames.append(
            pl.DataFrame(
                {
                    "user_id": names,
                    "temperament": [TEMPERAMENTS[c] for c in cast.temperament[: len(names)]],
                    "purse": [PURSES[c] for c in cast.purse[: len(names)]],
                    "response": [RESPONSES[c] for c in cast.response[: len(names)]],
                    "treated": cast.treated[: len(names)] == 1,
                }
            )
        )
    return pl.concat(frames)


def _group(cast: Cast, treated: bool | None) -> Ints:
    if treated is None:
        return cast.group
    parts = list(np.unravel_index(cast.group, CLASSES))
    parts[-1] = np.full(BLOCK_USERS, int(treated))
    return np.ravel_multi_index(parts, CLASSES).astype(np.int64)


def _shown(block: int, world: World, joined: Flags, state: Ints, promised: Floats) -> pl.DataFrame:
    names = user_names(block, world)
    frame = pl.DataFrame(
        {
            "user_id": pl.Series(names, dtype=pl.String),
            "alive": state[: len(names)] < STATES,
            "churn_probability": promised[: len(names), CHURN],
            "expected_value": promised[: len(names), VALUE],
        }
    )
    return frame.filter(pl.Series(joined[: len(names)]))


def _known_day(world: World, cutoff: datetime, ahead_days: int) -> int:
    day = world.day_of(cutoff)
    if not 0 <= day <= world.days:
        raise UsageError(
            f"oracle: the cutoff {cutoff.isoformat()} lies outside the synthetic world; name one "
            f"from {world.start_at.date()} to {world.end_at.date()}"
        )
    if ahead_days > LOOKAHEAD_DAYS:
        raise UsageError(f"oracle: looks {ahead_days} days ahead; at most {LOOKAHEAD_DAYS}")
    return day

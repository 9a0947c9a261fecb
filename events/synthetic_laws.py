"""The laws of the synthetic world: every probability and rate, in one place.

The hidden state of a subscriber is (engagement, payment, support, plan), 6 x 3 x 2 x 3 = 108
states, and two absorbing ones: cancelled, and gone silently. Each day has two steps:

1. morning, only on every 30th day from the user's signup: a payment is tried, and fails with
   `payment_fails[state]`;
2. then at most one *move*, drawn from `moves_on(day)`; it takes effect on the next day.

Moves depend on the day only through the hazard of cancelling: season, weekday, the price rise
and the campaign multiply it. What users do on a day is in `synthetic_rates`. The simulation and
the oracle both read these tables, and share nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from functools import lru_cache

import numpy as np

from events.synthetic_world import CLASSES, Floats, Ints, World

LEVELS, PAYMENTS, SUPPORTS, PLAN_COUNT = SHAPE = (6, 3, 2, 3)
STATES = int(np.prod(SHAPE))
CANCELLED, SILENT_GONE = STATES, STATES + 1
GROUPS = int(np.prod(CLASSES))
PAYMENT_EVERY_DAYS = 30
LOOKAHEAD_DAYS = 4100  # beyond the world's end, for the oracle's horizons
PRICES = np.array([8.0, 13.0, 20.0])
PRICE_RISE = np.array([1.20, 1.15, 1.0])  # premium keeps its price
_PAID, _FAILED, _SHAKY = range(PAYMENTS)

ENGAGEMENT, PAYMENT, SUPPORT, PLAN = np.unravel_index(np.arange(STATES), SHAPE)
TEMPERAMENT, PURSE, RESPONSE, TREATED = np.unravel_index(np.arange(GROUPS), CLASSES)

# 30-day hazards of leaving by engagement, and what trouble does to them. Those who have drifted
# away leave by and by; one whose payment fails does not trouble to cancel and lapses silently,
# and one who writes to support cares again. Those who come often leave only over a trouble.
_CANCEL = np.array([0.440, 0.280, 0.006, 0.005, 0.004, 0.003])
_CANCEL_FAILED = np.array([0.30, 0.40, 36.0, 42.0, 50.0, 60.0])
_CANCEL_SHAKY = np.array([1.0, 1.0, 1.5, 2.0, 2.0, 1.5])
_CANCEL_TICKET = np.array([0.45, 0.55, 40.0, 48.0, 60.0, 75.0])
_CANCEL_TEMPERAMENT = np.array([0.85, 1.0, 1.2])
_CANCEL_PLAN = np.array([1.2, 1.0, 0.8])
_CANCEL_RESPONSE = np.array([1.0, 0.95, 1.1, 0.95])
_SILENT = np.array([0.030, 0.016, 0.007, 0.003, 0.001, 0.001])
_SILENT_FAILED = np.array([8.0, 8.0, 5.0, 3.0, 2.0, 2.0])

_ENGAGE = np.array([0.0008, 0.0005, 0.0008, 0.0008, 0.0006, 0.0])
_FADE = np.array([0.0, 0.0020, 0.0012, 0.0015, 0.0015, 0.0015])
_FADE_TEMPERAMENT = np.array([0.8, 1.0, 1.25])

_RISE_SHOCK = np.array([[1.6, 1.2, 0.0], [0.7, 0.5, 0.0]])  # purse x plan, added to 1 at first
_RISE_FADES_DAYS = 30.0
_CAMPAIGN = np.array([0.45, 1.0, 1.0, 1.9])  # by response, while it works
CAMPAIGN_WORKS_DAYS = 45
_CANCEL_WEEKDAY = np.array([1.15, 1.1, 1.05, 1.0, 0.95, 0.85, 0.9])


class Move(IntEnum):
    CANCEL = 0
    SILENT = 1
    ENGAGE = 2
    FADE = 3
    TICKET = 4
    SOLVED = 5
    MEND = 6  # a failed payment is made good, or trust in the card returns
    UPGRADE = 7
    DOWNGRADE = 8


@dataclass(frozen=True)
class Laws:
    """`moves`: (GROUPS, STATES, Move) daily probabilities at multiplier 1. `target`: (Move,
    STATES). `season`: (days,), `shock`: (days, purse, plan), `campaign`: (days, response,
    treated) multiply the hazard of cancelling; `ceiling`: (GROUPS, STATES) is at least the sum
    of all moves on any day. `price`: (days, plan). `payment_fails`, `failed`, `paid`: (STATES,).
    """

    moves: Floats
    target: Ints
    season: Floats
    shock: Floats
    campaign: Floats
    ceiling: Floats
    price: Floats
    payment_fails: Floats
    failed: Ints
    paid: Ints

    def multiplier(self, day: Ints | int, group: Ints, state: Ints) -> Floats:
        """What the day does to the hazard of cancelling; the shapes broadcast."""
        shock = self.shock[day, PURSE[group], PLAN[state]]
        campaign = self.campaign[day, RESPONSE[group], TREATED[group]]
        result: Floats = self.season[day] * shock * campaign
        return result

    def moves_on(self, day: int) -> Floats:
        """Probabilities of each move on a day, shape (GROUPS, STATES, Move)."""
        moves = self.moves.copy()
        groups, states = np.arange(GROUPS)[:, None], np.arange(STATES)[None, :]
        moves[:, :, Move.CANCEL] *= self.multiplier(day, groups, states)
        return moves


@lru_cache(maxsize=8)
def laws_of(world: World) -> Laws:
    moves, days = _moves(), np.arange(world.days + LOOKAHEAD_DAYS)
    season, shock = cancel_season(world, days), _shock(world, days)
    campaign = _campaign(world, days)
    most = (season.max() * shock.max(axis=0))[PURSE][:, PLAN]
    most *= campaign.max(axis=0)[RESPONSE, TREATED][:, None]
    ceiling = moves[:, :, 1:].sum(axis=2) + moves[:, :, 0] * most
    assert ceiling.max() < 1.0
    raised = days >= world.price_rise_day
    return Laws(
        moves=moves,
        target=_targets(),
        season=season,
        shock=shock,
        campaign=campaign,
        ceiling=ceiling,
        price=np.where(raised[:, None], PRICES * PRICE_RISE, PRICES),
        payment_fails=np.array([0.028, 0.70, 0.08])[PAYMENT] * np.where(ENGAGEMENT <= 1, 1.3, 1.0),
        failed=_with(PAYMENT, np.full(STATES, _FAILED)),
        paid=_with(PAYMENT, np.where(PAYMENT == _FAILED, _SHAKY, PAYMENT)),
    )


def _moves() -> Floats:
    e, failed, ticket = ENGAGEMENT, PAYMENT == _FAILED, SUPPORT == 1
    cancel = _CANCEL[e] * _CANCEL_PLAN[PLAN] / 30
    owing = np.where(failed, _CANCEL_FAILED[e], np.where(PAYMENT == _SHAKY, _CANCEL_SHAKY[e], 1))
    asking = np.where(ticket, _CANCEL_TICKET[e], 1.0)
    # Of two troubles the stronger one counts, whichever way it pulls.
    cancel *= np.where(np.abs(np.log(owing)) > np.abs(np.log(asking)), owing, asking)
    by_group = _CANCEL_TEMPERAMENT[TEMPERAMENT] * _CANCEL_RESPONSE[RESPONSE]
    moves = np.zeros((GROUPS, STATES, len(Move)))
    moves[:, :, Move.CANCEL] = by_group[:, None] * cancel
    moves[:, :, Move.SILENT] = _SILENT[e] * np.where(failed, _SILENT_FAILED[e], 1.0) / 30
    moves[:, :, Move.ENGAGE] = _ENGAGE[e] * np.where(failed, 0.5, 1.0)
    fade = _FADE[e] * np.where(ticket, 1.8, 1.0) * np.where(failed, 1.5, 1.0)
    moves[:, :, Move.FADE] = _FADE_TEMPERAMENT[TEMPERAMENT][:, None] * fade
    moves[:, :, Move.TICKET] = np.where(ticket, 0.0, 0.0010 * np.where(failed, 2.5, 1.0))
    moves[:, :, Move.SOLVED] = np.where(ticket, 0.020, 0.0)
    moves[:, :, Move.MEND] = np.array([0.0, 0.022, 0.010])[PAYMENT]
    moves[:, :, Move.UPGRADE] = np.where(PLAN < PLAN_COUNT - 1, 0.0002 + 0.0001 * e, 0.0)
    moves[:, :, Move.DOWNGRADE] = np.where(PLAN > 0, 0.0007 - 0.0001 * e, 0.0)
    return moves


def _targets() -> Ints:
    """Where each move leads, shape (Move, STATES); an impossible move leads nowhere."""
    stay = np.arange(STATES)
    target = np.tile(stay, (len(Move), 1))
    target[Move.CANCEL], target[Move.SILENT] = CANCELLED, SILENT_GONE
    target[Move.ENGAGE] = _with(ENGAGEMENT, np.minimum(ENGAGEMENT + 1, LEVELS - 1))
    target[Move.FADE] = _with(ENGAGEMENT, np.maximum(ENGAGEMENT - 1, 0))
    target[Move.TICKET] = _with(SUPPORT, np.ones(STATES, np.int64))
    target[Move.SOLVED] = _with(SUPPORT, np.zeros(STATES, np.int64))
    target[Move.MEND] = _with(PAYMENT, np.array([_PAID, _SHAKY, _PAID])[PAYMENT])
    target[Move.UPGRADE] = _with(PLAN, np.minimum(PLAN + 1, PLAN_COUNT - 1))
    target[Move.DOWNGRADE] = _with(PLAN, np.maximum(PLAN - 1, 0))
    return target


def _with(part: Ints, value: Ints) -> Ints:
    """The states with one of their four parts put to `value`, shape (STATES,)."""
    parts = (ENGAGEMENT, PAYMENT, SUPPORT, PLAN)
    changed = [value if p is part else p for p in parts]
    return np.ravel_multi_index(changed, SHAPE).astype(np.int64)


def state_of(engagement: Ints, plan: Ints) -> Ints:
    """The state of a newcomer: paid, no ticket."""
    zero = np.zeros_like(engagement)
    return np.ravel_multi_index((engagement, zero, zero, plan), SHAPE).astype(np.int64)


def cancel_season(world: World, days: Ints) -> Floats:
    """More leave in January and on Mondays, fewer in summer and at weekends."""
    dates = [world.start + timedelta(days=int(day)) for day in days]
    year = np.array([d.timetuple().tm_yday for d in dates])
    january = np.array([d.month == 1 for d in dates])
    weekday = np.array([d.weekday() for d in dates])
    wave = 1 + 0.08 * np.cos(2 * np.pi * (year - 15) / 365.25)
    result: Floats = wave * np.where(january, 1.2, 1.0) * _CANCEL_WEEKDAY[weekday]
    return result


def _shock(world: World, days: Ints) -> Floats:
    since = (days - world.price_rise_day)[:, None, None]
    faded = np.where(since >= 0, np.exp(-np.maximum(since, 0) / _RISE_FADES_DAYS), 0.0)
    result: Floats = 1 + _RISE_SHOCK * faded
    return result


def _campaign(world: World, days: Ints) -> Floats:
    works = (days >= world.campaign_day) & (days < world.campaign_day + CAMPAIGN_WORKS_DAYS)
    effect = np.ones((days.size, *CLASSES[2:]))
    effect[works, :, 1] = _CAMPAIGN
    return effect

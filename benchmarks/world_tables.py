"""The laws and rates of the synthetic world as its filter needs them.

Plan and support show in the log, so two parts of the state are left to infer: engagement and
payment. They are the last axis of most tables here, `INFERRED` long; the class (temperament,
purse, response) is `KINDS` long, and treatment, which the log tells of most, an axis of its own.
"""

from __future__ import annotations

import numpy as np

from benchmarks.world_evidence import Day, Evidence
from events.synthetic_laws import (
    ENGAGEMENT,
    GROUPS,
    LEVELS,
    PAYMENT,
    PAYMENTS,
    SHAPE,
    STATES,
    Move,
    laws_of,
    state_of,
)
from events.synthetic_rates import (
    ACTIONS,
    NOTED,
    ONBOARDED,
    ONBOARDING_STEPS,
    PURCHASE_SHAPE,
    mix_edges,
    rates_of,
)
from events.synthetic_world import (
    CLASSES,
    ENGAGEMENT_BY_TEMPERAMENT,
    LAVISH_BY_COUNTRY,
    PLAN_BY_PURSE,
    RESPONSE_BY_TEMPERAMENT,
    TEMPERAMENT_BY_ACQUISITION,
    Floats,
    Ints,
    World,
)

AXES = ("temperament", "purse", "response", "treated", "engagement", "payment", "support", "plan")
WHERE = ("treated", "support", "plan")  # what is known, or supposed, of a user
KINDS = int(np.prod(CLASSES[:3]))
INFERRED = LEVELS * PAYMENTS
CELLS = (*CLASSES[:3], LEVELS)  # what the acts of a day depend on
FAILED = 1  # of PAYMENTS
HIDDEN_MOVES = (Move.ENGAGE, Move.FADE, Move.MEND)  # those that show at times


def by(table: Floats, *names: str) -> Floats:
    """A table of (GROUPS, STATES) or (STATES,) by some of AXES; along the others it is constant."""
    full = np.broadcast_to(table, (GROUPS, STATES)).reshape(*CLASSES, *SHAPE)
    front = np.moveaxis(full, [AXES.index(name) for name in names], range(len(names)))
    flat = front.reshape(*front.shape[: len(names)], -1)
    assert np.ptp(flat, axis=-1).max() == 0, f"not by {names} alone"
    return flat[..., 0].copy()


def _cut(table: Floats) -> Floats:
    """(GROUPS, STATES) as (treated, support, plan, KINDS, INFERRED)."""
    order = (*WHERE, "temperament", "purse", "response", "engagement", "payment")
    whole = by(table, *order)
    return whole.reshape(*whole.shape[:3], KINDS, INFERRED)


def _leading(target: Ints) -> Floats:
    """Where `target` (STATES,) leads, of engagement and payment, as a matrix from row to column.
    A cell of support and plan stands for all."""
    here = np.flatnonzero(np.arange(STATES) % np.prod(SHAPE[2:]) == 0)
    there = target[here]
    matrix = np.zeros((INFERRED, INFERRED))
    alive = there < STATES
    to = ENGAGEMENT[there[alive]] * PAYMENTS + PAYMENT[there[alive]]
    matrix[np.flatnonzero(alive), to] = 1
    return matrix


class Moves:
    """`shown`, `hidden`, by move: (*WHERE, KINDS, INFERRED), that it happens and leaves an event,
    or none; `leads`, by move, `failed`, `paid`: (INFERRED, INFERRED); `fails`: (INFERRED,)."""

    def __init__(self, world: World) -> None:
        self.laws = laws_of(world)
        self.moves = [_cut(self.laws.moves[:, :, move]) for move in Move]
        share = {
            Move.SILENT: 0.0,
            Move.ENGAGE: NOTED,
            Move.FADE: NOTED,
            Move.MEND: np.arange(INFERRED) % PAYMENTS == FAILED,
        }
        self.shown = [table * share.get(Move(m), 1.0) for m, table in enumerate(self.moves)]
        self.hidden = [a - b for a, b in zip(self.moves, self.shown, strict=True)]
        self.leads = [_leading(self.laws.target[move]) for move in Move]
        self.failed, self.paid = _leading(self.laws.failed), _leading(self.laws.paid)
        self.fails = by(self.laws.payment_fails, "engagement", "payment").ravel()
        self._others = np.sum(self.moves[1:], axis=0)

    def none(self, day: int) -> Floats:
        """The chance of no move, (*WHERE, KINDS, INFERRED)."""
        groups, states = np.arange(GROUPS)[:, None], np.arange(STATES)[None, :]
        times = _cut(self.laws.multiplier(day, groups, states))
        none: Floats = 1 - self._others - self.moves[Move.CANCEL] * times
        return none


class Acts:
    """How likely it is what users do on a day; factors that no state and no class change are left
    out, which is right while silence, where everything counts, has none of them."""

    def __init__(self, world: World) -> None:
        rates = rates_of(world)
        self.busy, self.buying = rates.busy, rates.buying
        self.visits = by(rates.visits, "engagement")
        self.last = 1 / by(rates.actions, "engagement")  # the chance that an action is
        edges = mix_edges() - np.arange(CLASSES[0] * LEVELS)[:, None]
        shares = np.diff(edges, axis=1, prepend=0.0)
        self.log_mix = np.log(shares).reshape(CLASSES[0], LEVELS, len(ACTIONS))
        self.emails = by(rates.emails, "response", "engagement")
        self.purchases = by(rates.purchases, "purse", "engagement")
        self.spent = by(rates.purchase_mean, "plan", "purse")
        self.tickets = by(rates.tickets, "support")
        self.retries = by(rates.retries, "payment")
        self.refunds = by(rates.refunds, "support")

    def log_likelihood(self, d: int, day: Day, plan: Ints) -> Floats:
        """Of visits, mails and purchases, by (k, *CELLS)."""
        counts = day.counts
        more = np.maximum(day.mix.sum(axis=1) - day.visits, 0)
        visits = _log_poisson(day.visits[:, None], self.visits * self.busy[d])
        visits += np.outer(day.visits, np.log(self.last)) + np.outer(more, np.log(1 - self.last))
        mix = np.tensordot(day.mix, self.log_mix, axes=(1, 2))
        emails = _log_poisson(counts["email_open"][:, None, None], self.emails * self.busy[d])
        bought, mean = counts["purchase"], self.spent[plan]
        buys = _log_poisson(bought[:, None, None], self.purchases * self.buying[d])
        scale = mean / PURCHASE_SHAPE  # gamma; the rest of its density is the same for all
        amounts = -PURCHASE_SHAPE * bought[:, None] * np.log(scale) - day.spent[:, None] / scale
        result: Floats = (
            (visits[:, None] + mix)[:, :, None, None, :]
            + emails[:, None, None, :, :]
            + (buys + amounts[:, :, None])[:, None, :, None, :]
        )
        return result

    def troubles(self, day: Day, support: Ints) -> Floats:
        """Likelihood of more tickets, tries and refunds, by (k, PAYMENTS)."""
        counts = day.counts
        tickets = np.where(support == 1, counts["support_ticket"], 0)  # else it is the move
        failed = counts["payment_failed"]
        retries = (failed - (day.due & (failed > 0)))[:, None]
        asked = _poisson(tickets, self.tickets[support])
        asked *= _poisson(counts["refund"], self.refunds[support])
        return asked[:, None] * _poisson(retries, self.retries)


def _log_poisson(count: Ints, rate: Floats) -> Floats:
    result: Floats = count * np.log(rate) - rate
    return result


def _poisson(count: Ints, rate: Floats) -> Floats:
    """0 ** 0 is 1."""
    result: Floats = rate**count * np.exp(-rate)
    return result


def prior(seen: Evidence) -> Floats:
    """On the day of signup, by what users.csv and the tour tell: (n, KINDS, INFERRED)."""
    temperament = np.array(TEMPERAMENT_BY_ACQUISITION)[seen.acquisition]
    lavish = np.array(LAVISH_BY_COUNTRY)[seen.country]
    purse = np.stack([1 - lavish, lavish], axis=1) * np.array(PLAN_BY_PURSE)[:, seen.plan].T
    steps = seen.total("onboarding")[:, None]
    toured = ONBOARDED**steps * (1 - ONBOARDED) ** (ONBOARDING_STEPS - steps)
    weight = np.einsum(
        "nt,np,tr,te,ne->ntpre",
        temperament,
        purse,
        np.array(RESPONSE_BY_TEMPERAMENT),
        np.array(ENGAGEMENT_BY_TEMPERAMENT),
        toured,
    )
    weight /= weight.sum(axis=(1, 2, 3, 4), keepdims=True)
    result = np.zeros((seen.signup.size, KINDS, INFERRED))
    new = state_of(np.arange(LEVELS), np.zeros(LEVELS, np.int64))
    result[:, :, ENGAGEMENT[new] * PAYMENTS + PAYMENT[new]] = weight.reshape(-1, KINDS, LEVELS)
    return result

"""What the log of the synthetic world tells of its hidden states: the exact forward filter.

A hidden Markov model (Rabiner 1989, the forward pass), a day a step, that knows every law and
rate of the world and of its users only what `world_evidence` shows. It infers engagement, whether
a card is trusted again, who is silently gone, and the classes: temperament, purse, response, and
the treatment of those who joined after the campaign was sent, on whom it works all the same. What
is left out: the hour of the day and the items, which no state changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.world_evidence import Day, Evidence
from benchmarks.world_tables import CELLS, HIDDEN_MOVES, INFERRED, KINDS, Acts, Moves, prior
from events.synthetic_laws import GROUPS, PAYMENTS, SHAPE, Move
from events.synthetic_world import CLASSES, Floats, Ints, World

# Of those who are gone, that they show a sign of life. It is 0 but for a visit that passes
# midnight, after which all else is impossible; any number far below other likelihoods will do.
_NEVER = 1e-200


@dataclass(frozen=True)
class Belief:
    """The posterior of n users: `weight` of classes and (engagement, payment), (n, GROUPS,
    INFERRED), and `gone`, (n, GROUPS), together 1; `support`, `plan`: known, (n,)."""

    weight: Floats
    gone: Floats
    support: Ints
    plan: Ints

    @property
    def states(self) -> Ints:
        """The states that `weight` speaks of, (n, INFERRED)."""
        level, payment = np.divmod(np.arange(INFERRED), PAYMENTS)
        parts = (level, payment, self.support[:, None], self.plan[:, None])
        return np.ravel_multi_index(parts, SHAPE).astype(np.int64)


def believed(world: World, seen: Evidence, day: int) -> Belief:
    """The posterior on the morning of `day`, before its payment, of users who joined before it
    and have not cancelled."""
    assert not seen.total("cancel").any(), "who has cancelled leaves nothing to infer"
    n = seen.signup.size
    told = (seen.signup < world.campaign_day) & (world.campaign_day < day)
    open_ = np.flatnonzero(~told)  # under both suppositions
    user = np.concatenate([np.arange(n), open_])
    treated = np.concatenate([told & (seen.total("campaign_sent") > 0), open_ >= 0]).astype(int)
    order = np.argsort(seen.signup[user], kind="stable")
    user, treated = user[order], treated[order]
    filtered = _Filter(world, seen.take(user), treated)
    for d in range(day):
        filtered.live(d)
    share = np.where(treated == 1, world.treated_share, 1 - world.treated_share)
    return _joined(filtered, user, share, n)


def _joined(one: _Filter, user: Ints, share: Floats, n: int) -> Belief:
    """The suppositions of each user, weighed by what each made of the log."""
    best = np.full(n, -np.inf)
    np.maximum.at(best, user, one.log_evidence)
    odds = share * np.exp(one.log_evidence - best[user])
    odds /= np.bincount(user, odds, n)[user]
    weight = np.zeros((n, KINDS, CLASSES[3], INFERRED))
    gone = np.zeros((n, KINDS, CLASSES[3]))
    weight[user, :, one.treated] = one.weight * odds[:, None, None]
    gone[user, :, one.treated] = one.gone * odds[:, None]
    support, plan = np.zeros(n, np.int64), np.zeros(n, np.int64)
    support[user], plan[user] = one.support, one.plan
    return Belief(weight.reshape(n, GROUPS, INFERRED), gone.reshape(n, GROUPS), support, plan)


class _Filter:
    """Rows sorted by signup, so that those who have joined by a day are the first k."""

    def __init__(self, world: World, seen: Evidence, treated: Ints) -> None:
        self.seen, self.treated = seen, treated
        self.moves, self.acts = Moves(world), Acts(world)
        self.weight = prior(seen)
        self.gone = np.zeros(self.weight.shape[:2])
        self.log_evidence = np.zeros(treated.size)
        self.support, self.plan = np.zeros_like(treated), seen.plan.copy()

    def live(self, d: int) -> None:
        """A day: the payment if one is due, what users do, then the one move at most."""
        k = int(np.searchsorted(self.seen.signup, d, side="right"))
        day = self.seen.day(d, k)
        self._pay(day)
        self._act(d, day)
        self._move(d, day)
        total = self.weight[:k].sum(axis=(1, 2)) + self.gone[:k].sum(axis=1)
        self.log_evidence[:k] += np.log(total)
        self.weight[:k] /= total[:, None, None]
        self.gone[:k] /= total[:, None]

    def _pay(self, day: Day) -> None:
        """A payment that is due is made or fails, and the log shows which; of those who are gone
        it shows neither."""
        moves, failed = self.moves, day.counts["payment_failed"] > 0
        paid = (day.counts["payment"] > 0) & ~failed
        for rows, chance, leads in (
            (day.due & failed, moves.fails, moves.failed),
            (day.due & paid, 1 - moves.fails, moves.paid),
        ):
            at = np.flatnonzero(rows)
            self.weight[at] = (self.weight[at] * chance) @ leads
        self.weight[np.flatnonzero(day.due & ~failed & ~paid)] = 0

    def _act(self, d: int, day: Day) -> None:
        k = day.due.size
        likely = np.exp(self.acts.log_likelihood(d, day, self.plan[:k]))
        weight = self.weight[:k].reshape(k, *CELLS, PAYMENTS)
        weight *= likely[..., None]
        weight *= self.acts.troubles(day, self.support[:k])[:, None, None, None, None, :]
        self.gone[:k] *= np.where(day.alive, _NEVER, 1.0)[:, None]

    def _move(self, d: int, day: Day) -> None:
        k, moves = day.due.size, self.moves
        where = (self.treated[:k], self.support[:k], self.plan[:k])
        before, shown = self.weight[:k], self._shown(day)
        after = before * moves.none(d)[where]
        for move in HIDDEN_MOVES:
            after += (before * moves.hidden[move][where]) @ moves.leads[move]
        self.gone[:k] += (before * moves.hidden[Move.SILENT][where]).sum(axis=2)
        for move in set(shown[shown >= 0].tolist()):
            at = np.flatnonzero(shown == move)
            chance = moves.shown[move][tuple(part[at] for part in where)]
            after[at] = (before[at] * chance) @ moves.leads[move]
            self.gone[at] = 0
        self.weight[:k] = after
        self.support[:k][shown == Move.TICKET] = 1
        self.support[:k][shown == Move.SOLVED] = 0
        self.plan[:k] = np.where(day.plan >= 0, day.plan, self.plan[:k])

    def _shown(self, day: Day) -> Ints:
        """The move that the day's events tell, -1 for none, (k,)."""
        k, counts = day.due.size, day.counts
        move = np.full(k, -1)
        unasked = ~day.due | (counts["payment_failed"] > 0)
        move[(counts["payment"] > 0) & unasked] = Move.MEND
        move[(counts["support_ticket"] > 0) & (self.support[:k] == 0)] = Move.TICKET
        move[counts["support_solved"] > 0] = Move.SOLVED
        move[counts["notifications_on"] > 0] = Move.ENGAGE
        move[counts["notifications_off"] > 0] = Move.FADE
        move[day.plan > self.plan[:k]] = Move.UPGRADE
        move[(day.plan >= 0) & (day.plan < self.plan[:k])] = Move.DOWNGRADE
        return move

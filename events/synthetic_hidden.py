"""Hidden histories: every change of state of a block of users, over the whole world.

On the daily grid, yet without a step a day: from each state the next day on which anything may
happen is drawn from a geometric distribution with a probability that is high enough for every
day, and what happens then is drawn by thinning (Lewis and Shedler 1979). Exact, and the work
grows with the number of changes and not with the number of days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from events.synthetic_laws import PAYMENT_EVERY_DAYS, STATES, Laws, Move, laws_of, state_of
from events.synthetic_world import BLOCK_USERS, Cast, Flags, Floats, Ints, World, stream

_TICKS = 1 << 20  # more than two a day for any world


@dataclass(frozen=True)
class History:
    """What happened to a block, in numbers.

    Changes, sorted by user and tick: at tick 2d a move of day d - 1 takes effect, at tick
    2d + 1 a payment tried in the morning of day d. Moves and payments: by user and day, with
    the state in which they happened (moves) or that they left behind (payments).
    """

    user: Ints
    tick: Ints
    state: Ints
    move_user: Ints
    move_day: Ints
    move: Ints
    move_state: Ints
    payment_user: Ints
    payment_day: Ints
    payment_state: Ints
    payment_failed: Flags

    def state_at(self, day: int) -> Ints:
        """State of each user at the first instant of a day, shape (BLOCK_USERS,); it is that
        of the signup for users who have not joined yet."""
        keys = self.user * _TICKS + self.tick
        wanted = np.arange(BLOCK_USERS) * _TICKS + 2 * day
        first = np.searchsorted(self.user, np.arange(BLOCK_USERS))
        found: Ints = np.maximum(np.searchsorted(keys, wanted, side="right") - 1, first)
        return self.state[found]


class _Diary:
    """Columns that grow by pieces."""

    def __init__(self, columns: int) -> None:
        self._pieces: list[list[Ints]] = [[] for _ in range(columns)]

    def add(self, *columns: Ints) -> None:
        for pieces, column in zip(self._pieces, columns, strict=True):
            pieces.append(column)

    def columns(self) -> list[Ints]:
        return [np.concatenate(pieces).astype(np.int64) for pieces in self._pieces]


def simulate(world: World, cast: Cast, block: int) -> History:
    """The hidden histories of a block up to the world's end."""
    rng, laws = stream(world, block, 1), laws_of(world)
    group, day, pays = cast.group, cast.signup.copy(), cast.signup.copy()
    state = state_of(cast.engagement, cast.plan)
    changes, moves, payments = _Diary(3), _Diary(4), _Diary(4)
    changes.add(np.arange(BLOCK_USERS), 2 * day, state.copy())
    active = np.arange(BLOCK_USERS)
    while active.size:
        payers = active[pays[active] == day[active]]
        if payers.size:
            _pay(rng, laws, payers, day, pays, state, changes, payments)
        ceiling = laws.ceiling[group[active], state[active]]
        candidate = day[active] + rng.geometric(ceiling) - 1
        happens = candidate < np.minimum(pays[active], world.days)
        day[active] = np.where(happens, candidate, pays[active])
        movers = active[happens]
        _move(rng, laws, movers, ceiling[happens], group, day, state, changes, moves)
        active = active[(state[active] < STATES) & (day[active] < world.days)]
    return _history(changes, moves, payments)


def _history(changes: _Diary, moves: _Diary, payments: _Diary) -> History:
    user, tick, state = changes.columns()
    order = np.argsort(user * _TICKS + tick, kind="stable")
    move_user, move_day, move, move_state = moves.columns()
    payment_user, payment_day, payment_state, failed = payments.columns()
    return History(
        user=user[order],
        tick=tick[order],
        state=state[order],
        move_user=move_user,
        move_day=move_day,
        move=move,
        move_state=move_state,
        payment_user=payment_user,
        payment_day=payment_day,
        payment_state=payment_state,
        payment_failed=failed == 1,
    )


def _pay(
    rng: np.random.Generator,
    laws: Laws,
    payers: Ints,
    day: Ints,
    pays: Ints,
    state: Ints,
    changes: _Diary,
    payments: _Diary,
) -> None:
    """Tries the payments that are due, in place."""
    before = state[payers]
    fails = rng.random(payers.size) < laws.payment_fails[before]
    after = np.where(fails, laws.failed[before], laws.paid[before])
    state[payers] = after
    pays[payers] += PAYMENT_EVERY_DAYS
    payments.add(payers, day[payers], after, fails.astype(np.int64))
    other = after != before
    changes.add(payers[other], 2 * day[payers[other]] + 1, after[other])


def _move(
    rng: np.random.Generator,
    laws: Laws,
    movers: Ints,
    ceiling: Floats,
    group: Ints,
    day: Ints,
    state: Ints,
    changes: _Diary,
    moves: _Diary,
) -> None:
    """Draws what happens on the candidate days, if anything, and steps to the day after."""
    on, groups, before = day[movers], group[movers], state[movers]
    chances = laws.moves[groups, before]
    chances[:, Move.CANCEL] *= laws.multiplier(on, groups, before)
    drawn = (rng.random(movers.size) * ceiling)[:, None]
    move = (drawn >= np.cumsum(chances, axis=1)).sum(axis=1)
    day[movers] += 1
    real = move < len(Move)
    movers, on, move, before = movers[real], on[real], move[real], before[real]
    after = laws.target[move, before]
    state[movers] = after
    moves.add(movers, on, move, before)
    changes.add(movers, 2 * on + 2, after)

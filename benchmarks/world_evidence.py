"""What the log of the synthetic world shows of each user on each day before a cutoff.

Nothing hidden is read: the clean log (none of the faults planted in the files) before the cutoff,
and of users.csv the day of signup, country, acquisition and plan. One thing is approximate. The
log does not mark visits, so those of its events on one channel that are less than APART_MS apart
count as one, and a login begins another: one step in 800 within a visit is longer, two visits so
close are rarer, and of a few that pass midnight the day may be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from events.synthetic_laws import PAYMENT_EVERY_DAYS
from events.synthetic_rates import ACTIONS
from events.synthetic_scene import CODE, EVENTS, Log
from events.synthetic_world import DAY_MS, Cast, Flags, Floats, Ints, World

APART_MS = 300_000
NO_SIGN = ("signup", "onboarding", "campaign_sent")  # they show nobody alive on a later day


@dataclass(frozen=True)
class Day:
    """One day of k users, shape (k,) each: `due`, a payment is; `alive`, it shows in the log;
    `spent` on purchases; `plan` changed to, else -1. `counts`: by event; `mix`: (k, ACTIONS)."""

    due: Flags
    alive: Flags
    visits: Ints
    spent: Floats
    plan: Ints
    counts: Mapping[str, Ints]
    mix: Ints


@dataclass(frozen=True)
class Evidence:
    """Of n users. `signup`, `country`, `acquisition`, `plan` at signup: (n,); the rest is as in
    `Day`, (days, n)."""

    signup: Ints
    country: Ints
    acquisition: Ints
    plan: Ints
    alive: Flags
    visits: Ints
    spent: Floats
    new_plan: Ints
    counts: Mapping[str, Ints]

    def total(self, event: str) -> Ints:
        total: Ints = self.counts[event].sum(axis=0)
        return total

    def take(self, users: Ints) -> Evidence:
        """Of the users at these places, a user as often as named."""
        return replace(
            self,
            signup=self.signup[users],
            country=self.country[users],
            acquisition=self.acquisition[users],
            plan=self.plan[users],
            alive=self.alive[:, users],
            visits=self.visits[:, users],
            spent=self.spent[:, users],
            new_plan=self.new_plan[:, users],
            counts={event: count[:, users] for event, count in self.counts.items()},
        )

    def day(self, d: int, k: int) -> Day:
        """Of the first k users."""
        counts = {event: count[d, :k] for event, count in self.counts.items()}
        return Day(
            due=(d - self.signup[:k]) % PAYMENT_EVERY_DAYS == 0,
            alive=self.alive[d, :k],
            visits=self.visits[d, :k],
            spent=self.spent[d, :k],
            plan=self.new_plan[d, :k],
            counts=counts,
            mix=np.stack([counts[action] for action in ACTIONS], axis=1),
        )


def evidence(world: World, log: Log, cast: Cast, users: Ints, day: int) -> Evidence:
    """Of `users`, numbers in their block, by what the block's log has before midnight of `day`."""
    place = np.full(cast.signup.size, -1)
    place[users] = np.arange(users.size)
    log = log.take((log.ts < world.start_ms + day * DAY_MS) & (place[log.user] >= 0))
    user, on = place[log.user], (log.ts - world.start_ms) // DAY_MS
    shape = (day, users.size)
    counts = {}
    for event in EVENTS:
        rows = log.code == CODE[event]
        counts[event] = _counted(on[rows], user[rows], shape)
    bought, changed = log.code == CODE["purchase"], log.code == CODE["plan_change"]
    spent, new_plan = np.zeros(shape), np.full(shape, -1)
    np.add.at(spent, (on[bought], user[bought]), log.amount[bought])
    new_plan[on[changed], user[changed]] = log.detail[changed]
    return Evidence(
        signup=cast.signup[users],
        country=cast.country[users],
        acquisition=cast.acquisition[users],
        plan=cast.plan[users],
        alive=np.any([counts[event] > 0 for event in EVENTS if event not in NO_SIGN], axis=0),
        visits=_counted(*_visits(world, log, place), shape),
        spent=spent,
        new_plan=new_plan,
        counts=counts,
    )


def _counted(day: Ints, user: Ints, shape: tuple[int, int]) -> Ints:
    cells = np.bincount(day * shape[1] + user, minlength=shape[0] * shape[1])
    return cells.reshape(shape).astype(np.int32)


def _visits(world: World, log: Log, place: Ints) -> tuple[Ints, Ints]:
    """(day, user's place) of each visit, by its first event."""
    log = log.take((log.code < len(ACTIONS)) | (log.code == CODE["login"]))
    order = np.lexsort((log.ts, log.channel, log.user))
    user, ts, channel = log.user[order], log.ts[order], log.channel[order]
    begins = log.code[order] == CODE["login"]
    begins[:1] = True
    begins[1:] |= (np.diff(ts) > APART_MS) | (np.diff(user) != 0) | (np.diff(channel) != 0)
    return (ts[begins] - world.start_ms) // DAY_MS, place[user[begins]]

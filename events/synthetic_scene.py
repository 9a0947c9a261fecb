"""A block of users as the emission of events sees it: columns, runs, days and times of day."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from events.synthetic_hidden import History
from events.synthetic_laws import STATES
from events.synthetic_rates import (
    ACTIONS,
    COUNTRY_OFFSET_HOURS,
    QUANTILES,
    SATURDAY,
    clock_table,
    rates_of,
)
from events.synthetic_world import DAY_MS, Cast, Flags, Floats, Ints, World

EVENTS = (*ACTIONS, "login", "signup", "onboarding", "notifications_on", "notifications_off",
          "email_open", "campaign_sent", "support_ticket", "support_solved",
          "payment", "payment_failed", "purchase", "refund", "plan_change",
          "cancel")  # fmt: skip
CODE = {name: code for code, name in enumerate(EVENTS)}
CHANNELS = ("app", "web", "billing", "email", "support")
APP, WEB, BILLING, EMAIL, SUPPORT_DESK = range(len(CHANNELS))

Small = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Log:
    """Events as columns: `user` counts within the block; `ts` in ms since 1970; `code` of
    EVENTS; `channel` of CHANNELS; `amount`, NaN for none; `detail`: the item of an action, the
    plan of a billing event, -1 for none."""

    user: npt.NDArray[np.int32]
    ts: Ints
    code: Small
    channel: Small
    amount: Floats
    detail: npt.NDArray[np.int32]

    @property
    def rows(self) -> int:
        return self.ts.size

    def take(self, keep: Flags | Ints) -> Log:
        return Log(*(getattr(self, f.name)[keep] for f in fields(self)))


def joined(logs: list[Log]) -> Log:
    return Log(*(np.concatenate([getattr(log, f.name) for log in logs]) for f in fields(Log)))


class Scene:
    """A block's runs of constant state: `user`, `state`, `group`, days `[start, end)`."""

    def __init__(self, world: World, cast: Cast, history: History) -> None:
        self.world, self.cast, self.history = world, cast, history
        start = history.tick // 2
        last = np.append(history.user[1:] != history.user[:-1], True)
        end = np.where(last, world.days, np.append(start[1:], 0))
        runs = (history.state < STATES) & (end > start)
        self.user, self.state = history.user[runs], history.state[runs]
        self.start, self.end = start[runs], end[runs]
        self.group = cast.group[self.user]
        self.rates = rates_of(world)

    def scatter(
        self, rng: np.random.Generator, rates: Floats, calendar: Floats | None = None
    ) -> tuple[Ints, Ints]:
        """(run, day) of every event of a Poisson process with `rates` (GROUPS, STATES)."""
        each = np.ones(self.world.days) if calendar is None else calendar[: self.world.days]
        until = np.concatenate([[0.0], np.cumsum(each)])
        span = until[self.end] - until[self.start]
        count = rng.poisson(rates[self.group, self.state] * span)
        run = np.repeat(np.arange(count.size), count)
        at = until[self.start][run] + rng.random(run.size) * span[run]
        day = np.searchsorted(until, at, side="right") - 1
        return run, np.clip(day, self.start[run], self.end[run] - 1)

    def instants(self, rng: np.random.Generator, user: Ints, day: Ints) -> Ints:
        """Milliseconds since 1970 of something done on a day, in the rhythm of the user's
        country; on the day of signup, after it."""
        weekend = ((day + self.world.start.weekday()) % 7 >= SATURDAY).astype(np.int64)
        place = rng.random(user.size) * QUANTILES
        cell = place.astype(np.int64)
        table = clock_table()
        low, high = table[weekend, cell], table[weekend, cell + 1]
        local = low + ((high - low) * (place - cell)).astype(np.int64)
        ms = (local - COUNTRY_OFFSET_HOURS[self.cast.country[user]] * 3_600_000) % DAY_MS
        new = np.flatnonzero(day == self.cast.signup[user])
        begin = self.cast.signup_ms[user[new]]
        ms[new] = begin + 1000 + ms[new] * (DAY_MS - 2000 - begin) // DAY_MS
        result: Ints = self.world.start_ms + day * DAY_MS + ms
        return result

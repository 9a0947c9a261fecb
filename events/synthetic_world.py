"""The synthetic world's parameters, and its users as they are on the day they join.

Users come in blocks of a fixed size, each with a random stream of its own, so that the history
of user k depends on the seed and on k and not on how many users there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import numpy.typing as npt

from runtime.errors import UsageError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

BLOCK_USERS = 1024
DAY_MS = 86_400_000

TEMPERAMENTS = ("loyal", "ordinary", "restless")
PURSES = ("thrifty", "lavish")
RESPONSES = ("persuadable", "sure_thing", "lost_cause", "sleeping_dog")
PLANS = ("basic", "plus", "premium")
COUNTRIES = ("DE", "FR", "GB", "BR", "US")
ACQUISITIONS = ("search", "social", "referral", "advert")
CLASSES = (len(TEMPERAMENTS), len(PURSES), len(RESPONSES), 2)  # 2: untreated, treated

_COUNTRY_SHARE = (0.28, 0.17, 0.20, 0.12, 0.23)
_ACQUISITION_SHARE = (0.35, 0.25, 0.22, 0.18)
TEMPERAMENT_BY_ACQUISITION = (
    (0.35, 0.45, 0.20),
    (0.22, 0.43, 0.35),
    (0.52, 0.38, 0.10),
    (0.15, 0.40, 0.45),
)
LAVISH_BY_COUNTRY = (0.25, 0.22, 0.32, 0.12, 0.42)
PLAN_BY_PURSE = ((0.58, 0.32, 0.10), (0.25, 0.42, 0.33))
RESPONSE_BY_TEMPERAMENT = (
    (0.20, 0.45, 0.10, 0.25),
    (0.35, 0.25, 0.20, 0.20),
    (0.40, 0.10, 0.35, 0.15),
)
ENGAGEMENT_BY_TEMPERAMENT = (
    (0.09, 0.22, 0.16, 0.20, 0.19, 0.14),
    (0.13, 0.29, 0.19, 0.18, 0.14, 0.07),
    (0.18, 0.37, 0.18, 0.14, 0.09, 0.04),
)
_WEB_SHARE = (0.05, 0.35, 0.85)  # of a user's visits, by habit: phone, both, desk


@dataclass(frozen=True)
class World:
    """A subscription service over `days` days from `start`, UTC midnight.

    `price_rise_day` and `campaign_day` count from `start`; one past the end never comes.
    `treated_share` of users are drawn, at random, to get the campaign. `faults` plants wrong
    tracking in the files (never in what `generate` returns). Raises UsageError.
    """

    users: int = 20_000
    seed: int = 0
    days: int = 731
    start: date = date(2023, 1, 1)
    price_rise_day: int = 425
    campaign_day: int = 610
    treated_share: float = 0.5
    faults: bool = True

    def __post_init__(self) -> None:
        for name in ("users", "days"):
            if getattr(self, name) < 1:
                raise UsageError(f"synthetic world: {name} is {getattr(self, name)}; at least 1")
        if not 0 <= self.treated_share <= 1:
            raise UsageError(f"synthetic world: treated_share is {self.treated_share}; from 0 to 1")

    @property
    def start_at(self) -> datetime:
        return datetime.combine(self.start, time(), UTC)

    @property
    def end_at(self) -> datetime:
        return self.start_at + timedelta(days=self.days)

    @property
    def start_ms(self) -> int:
        return int(self.start_at.timestamp()) * 1000

    @property
    def blocks(self) -> int:
        return -(-self.users // BLOCK_USERS)

    def at(self, day: int) -> datetime:
        return self.start_at + timedelta(days=day)

    def day_of(self, instant: datetime) -> int:
        """The day an instant falls in; hidden state is known by the day, so it is floored."""
        return int((instant.astimezone(UTC) - self.start_at) // timedelta(days=1))


@dataclass(frozen=True)
class Cast:
    """A block's users, shape (BLOCK_USERS,) each: what is drawn once and never changes."""

    signup: Ints
    temperament: Ints
    purse: Ints
    response: Ints
    treated: Ints
    plan: Ints  # at signup
    engagement: Ints  # at signup
    country: Ints
    acquisition: Ints
    web_share: Floats
    signup_ms: Ints  # within the day of signup

    @property
    def group(self) -> Ints:
        """The classes that hazards depend on, as one code below prod(CLASSES)."""
        classes = (self.temperament, self.purse, self.response, self.treated)
        return np.ravel_multi_index(classes, CLASSES).astype(np.int64)


def stream(world: World, block: int, purpose: int) -> np.random.Generator:
    """The random stream of one block for one purpose (0 cast, 1 hidden state, 2 events)."""
    return np.random.Generator(
        np.random.SFC64(np.random.SeedSequence(world.seed, spawn_key=(block, purpose)))
    )


def draw_cast(world: World, block: int) -> Cast:
    rng = stream(world, block, 0)
    country = _pick(rng, np.array([_COUNTRY_SHARE]), np.zeros(BLOCK_USERS, np.int64))
    acquisition = _pick(rng, np.array([_ACQUISITION_SHARE]), np.zeros(BLOCK_USERS, np.int64))
    temperament = _pick(rng, np.array(TEMPERAMENT_BY_ACQUISITION), acquisition)
    purse = (rng.random(BLOCK_USERS) < np.array(LAVISH_BY_COUNTRY)[country]).astype(np.int64)
    # The service grows: the density of signups rises as t^0.11.
    signup = (world.days * rng.random(BLOCK_USERS) ** 0.9).astype(np.int64)
    return Cast(
        signup=np.minimum(signup, world.days - 1),
        temperament=temperament,
        purse=purse,
        response=_pick(rng, np.array(RESPONSE_BY_TEMPERAMENT), temperament),
        treated=(rng.random(BLOCK_USERS) < world.treated_share).astype(np.int64),
        plan=_pick(rng, np.array(PLAN_BY_PURSE), purse),
        engagement=_pick(rng, np.array(ENGAGEMENT_BY_TEMPERAMENT), temperament),
        country=country,
        acquisition=acquisition,
        web_share=np.array(_WEB_SHARE)[rng.integers(0, len(_WEB_SHARE), BLOCK_USERS)],
        signup_ms=rng.integers(DAY_MS // 4, DAY_MS * 9 // 10, BLOCK_USERS),
    )


def _pick(rng: np.random.Generator, shares: Floats, row: Ints) -> Ints:
    """One draw a user from the distribution in its row of `shares`."""
    edges = np.cumsum(shares, axis=1)[:, :-1]
    result: Ints = (rng.random(row.size)[:, None] >= edges[row]).sum(axis=1)
    return result

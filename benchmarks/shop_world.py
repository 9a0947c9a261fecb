"""A shop of two years whose customers come more often in some months: as every year, or by chance.

Customers buy at rates of their own (gamma) and may leave after a purchase (beta-geometric, as in
BG/NBD). What all do in common is the pace, a factor for each day: see PACES.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

START = datetime(2022, 12, 1)
MONTHS = (0.75, 0.75, 0.9, 0.85, 0.9, 0.9, 0.85, 0.85, 1.15, 1.35, 1.7, 0.95)  # January first
WALK = 0.1  # of the logarithm, a week
ONCE = (285, 375)  # days
CONFIG = """\
[project]
name = "shop"

[[source]]
name = "orders"
path = "orders.csv"

[source.columns]
user_id = "customer"
ts = "when"
amount = "amount"

[source.constants]
event = "purchase"

[events]
deduplicate = "none"

[churn]
kind = "passive"
horizon_days = 90
"""

Floats = np.ndarray
Pace = Callable[[np.random.Generator, int], Floats]


def calm(random: np.random.Generator, days: int) -> Floats:
    return np.ones(days)


def season(random: np.random.Generator, days: int) -> Floats:
    """The autumn brings twice the purchases of the winter, every year."""
    months = [(START + timedelta(days=day)).month - 1 for day in range(days)]
    return np.array(MONTHS)[months] ** 1.3


def walk(random: np.random.Generator, days: int) -> Floats:
    """Good times and bad ones, without a calendar."""
    weekly = np.cumsum(random.normal(0, WALK, days // 7 + 1))
    return np.asarray(np.exp(weekly - weekly.mean())[np.arange(days) // 7])


def once(random: np.random.Generator, days: int) -> Floats:
    """A quarter of a boom in the first year, and never again."""
    found = np.ones(days)
    found[ONCE[0] : ONCE[1]] = 1.8
    return found


PACES: dict[str, Pace] = {"calm": calm, "season": season, "walk": walk, "once": once}


def orders(kind: str, seed: int, users: int, days: int = 742) -> pl.DataFrame:
    """`customer`, `when` and `amount`, in order of time; the same for the same arguments."""
    random = np.random.default_rng(seed)
    pace = PACES[kind](random, days)
    joined = np.where(random.random(users) < 0.25, 0.0, random.uniform(0, days, users))
    rate = random.gamma(0.8, 0.45 / 30 / 0.8, users)
    leaves = 0.5 * random.beta(0.8, 3.2, users)
    size = random.normal(3.0, 0.8, users)
    count = random.poisson(rate * pace.max() * (days - joined))
    who = np.repeat(np.arange(users), count)
    when = random.uniform(joined[who], days)
    kept = random.random(len(who)) < pace[when.astype(int)] / pace.max()
    who = np.r_[np.arange(users), who[kept]]  # everyone's first purchase is that of joining
    when = np.r_[joined, when[kept]]
    order = np.lexsort((when, who))
    who, when = who[order], when[order]
    place = np.arange(len(who)) - np.searchsorted(who, who)
    stays = place < random.geometric(np.maximum(leaves, 1e-9))[who]
    who, when = who[stays], when[stays]
    amount = np.round(np.exp(size[who] + random.normal(0, 0.5, len(who))), 2)
    seconds = (when * 86_400).astype(np.int64)
    return pl.DataFrame(
        {
            "customer": np.char.mod("c%05d", who),
            "when": pl.Series(seconds * 1_000_000).cast(pl.Duration("us")) + START,
            "amount": amount,
        }
    ).sort("when", "customer")


def write_shop(folder: Path, kind: str, seed: int, users: int, days: int = 742) -> Path:
    """The orders and the configuration; returns the latter's path."""
    folder.mkdir(parents=True, exist_ok=True)
    orders(kind, seed, users, days).write_csv(
        folder / "orders.csv", datetime_format="%Y-%m-%d %H:%M:%S"
    )
    (folder / "holdfast.toml").write_text(CONFIG, encoding="utf-8")
    return folder / "holdfast.toml"

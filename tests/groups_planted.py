"""A log of four kinds of customers that are easy to tell apart, and who is of which kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from small_project import TOML

KINDS = ("core", "browsing", "gone", "steady")
START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 240
END = START + timedelta(days=DAYS)
CONFIG = TOML.replace("within_days = 30", "within_days = 400")


def kind_of(user: str) -> int:
    """The kind's place in KINDS."""
    return int(user.removeprefix("u")) % len(KINDS)


def planted_log(users: int = 240, seed: int = 3) -> pl.DataFrame:
    """core: thrice a week all along, buys often; browsing: came three weeks ago, looks only;
    gone: bought once half a year ago; steady: every ten days, buys small things."""
    random = np.random.default_rng(seed)
    rows = [row for user in range(users) for row in _events(f"u{user:05d}", random)]
    frame = pl.DataFrame(
        rows, schema=["customer", "when", "what", "paid", "where"], orient="row"
    ).sort("when", "customer")
    return frame.with_row_index("id")


def _events(user: str, random: np.random.Generator) -> list[tuple[object, ...]]:
    match KINDS[kind_of(user)]:
        case "core":
            days = np.arange(random.uniform(0, 20), DAYS, 2.4) + random.uniform(-0.5, 0.5)
            buys, amount = 0.5, 60.0
        case "browsing":
            days = random.uniform(DAYS - random.uniform(15, 21), DAYS, random.integers(4, 9))
            buys, amount = 0.0, 0.0
        case "gone":
            days, buys, amount = random.uniform(20, 60, 1), 1.0, 20.0
        case _:
            days = np.arange(random.uniform(0, 40), DAYS - random.uniform(0, 9), 10.0)
            buys, amount = 0.9, 15.0
    found = []
    for day in np.clip(days, 0, DAYS - 0.01):
        at = START + timedelta(seconds=int(day * 86400))
        bought = random.random() < buys
        paid = round(float(amount * random.uniform(0.7, 1.4)), 2) if bought else None
        found.append((user, at, "purchase" if bought else "view", paid, "web"))
    return found


def write_planted(folder: Path, log: pl.DataFrame | None = None, buckets: int = 4) -> Path:
    """As `small_project.write_small_project`, with everyone eligible."""
    log = planted_log() if log is None else log
    (folder / "data").mkdir(parents=True)
    log.write_csv(folder / "data" / "log.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    config = folder / "holdfast.toml"
    config.write_text(CONFIG.format(path="data/*.csv", buckets=buckets))
    return config

"""A log of customers who buy and leave as BG/NBD says, for `write_small_project`."""

from __future__ import annotations

import numpy as np
import polars as pl
from small_project import START

FASTER = 3.0  # how many times as often customers of the app buy
WHERE = ["app", "web"]


def buyers(users: int, seed: int = 0) -> pl.DataFrame:
    """Customers who buy and leave as BG/NBD says, half of them met in the app; later purchases are
    made anywhere. Everyone looks around, and a third never buys."""
    draw = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        app, day = user % 2 == 0, draw.uniform(0, 150)
        rate = draw.gamma(1.5, 1 / 60) * (FASTER if app else 1)
        leaves, usual = draw.beta(1.0, 4.0), 3 / draw.gamma(4.0, 1 / 30)
        rows.append((f"c{user:04d}", day / 2, "look", None, "web"))
        while user % 3 and day < 400:
            where = (
                ("app" if app else "web") if rows[-1][2] == "look" else draw.choice(["app", "web"])
            )
            rows.append((f"c{user:04d}", day, "buy", float(draw.gamma(3.0) * usual), where))
            day += draw.exponential(1 / rate) if draw.random() > leaves else np.inf
    names = ["customer", "at", "what", "paid", "where"]
    frame = pl.DataFrame(rows, names, orient="row")
    when = pl.lit(START) + pl.duration(seconds=(pl.col("at") * 86400).cast(pl.Int64))
    return frame.select(pl.exclude("at"), when=when).with_row_index("id")

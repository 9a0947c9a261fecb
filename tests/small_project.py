"""A small log with something to learn in it, as CSV files, and its holdfast.toml."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 240
AS_OF = datetime(2024, 8, 1, tzinfo=UTC)  # with four weeks of the log after it

TOML = """
[project]
name = "small"

[[source]]
name = "shop"
path = "{path}"

[source.columns]
user_id = "customer"
ts = "when"
event = "what"
amount = "paid"
channel = "where"
event_id = "id"

[events]
deduplicate = "event_id"
buckets = {buckets}

[eligible]
within_days = 30

[churn]
kind = "passive"
horizon_days = 21

[training]
bootstrap = 50
cutoffs = 6
"""


def small_log(users: int = 250, seed: int = 7) -> pl.DataFrame:
    """Users who visit at a rate of their own and leave at a rate that falls with it."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(2.0, 0.15, users) + 0.02
    joined = rng.uniform(0, 120, users)
    left = joined + rng.exponential(40 + 400 * rate)
    frames = []
    for user in range(users):
        end = min(left[user], DAYS)
        count = rng.poisson(rate[user] * max(end - joined[user], 0)) + 1
        at = joined[user] + rng.uniform(0, 1, count) * max(end - joined[user], 0.01)
        frames.append((np.full(count, user), at))
    who = np.concatenate([w for w, _ in frames])
    at = np.concatenate([a for _, a in frames])
    what = rng.choice(["view", "search", "purchase"], len(who), p=[0.6, 0.25, 0.15])
    paid = np.where(what == "purchase", np.round(rng.gamma(2.0, 10.0, len(who)), 2), np.nan)
    frame = pl.DataFrame(
        {
            "customer": [f"{w:05d}" for w in who],
            "when": [START + timedelta(seconds=int(a * 86400)) for a in at],
            "what": what,
            "paid": paid,
            "where": rng.choice(["app", "web"], len(who)),
        }
    )
    return frame.with_columns(pl.col("paid").fill_nan(None)).with_row_index("id")


def cut(log: pl.DataFrame) -> pl.DataFrame:
    """What is known at AS_OF."""
    return log.filter(pl.col("when") < AS_OF)


def another_future(log: pl.DataFrame) -> pl.DataFrame:
    """Everything from AS_OF on replaced: other users, kinds, amounts and channels."""
    later = cut(log).sample(500, seed=3, with_replacement=True)
    changed = later.with_columns(
        pl.lit(AS_OF).alias("when") + pl.duration(hours=pl.int_range(pl.len())),
        pl.lit("takeover").alias("what"),
        pl.lit(1e9).alias("paid"),
        pl.lit("pigeon").alias("where"),
        (pl.int_range(pl.len()) + 10_000_000).cast(later.schema["id"]).alias("id"),
    )
    exactly_then = changed.head(5).with_columns(
        pl.lit(AS_OF).alias("when"),
        (pl.col("id") + 5_000_000).alias("id"),
        pl.lit("brandnew").alias("customer"),
    )
    return pl.concat([cut(log), changed, exactly_then])


def write_small_project(
    folder: Path, log: pl.DataFrame | None = None, files: int = 1, buckets: int = 4
) -> Path:
    """Writes the log as `files` CSV files and returns the path of its holdfast.toml."""
    log = small_log() if log is None else log
    data = folder / "data"
    data.mkdir(parents=True)
    for index in range(files):
        part = log.gather_every(files, index)
        part.write_csv(data / f"part-{index}.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    config = folder / "holdfast.toml"
    config.write_text(TOML.format(path="data/*.csv", buckets=buckets))
    (folder / "mlruns").mkdir()
    (folder / "mlruns" / "mlflow.db").write_bytes(_empty_tracking())
    return config


@cache
def _empty_tracking() -> bytes:
    """MLflow's database as it makes it, which takes a second, for each project to begin with."""
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mlflow.db")
        MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
        return path.read_bytes()

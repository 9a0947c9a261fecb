"""How much a sequence model gains over tables where the order of events decides who churns.

    python -m benchmarks.order_world [USERS]

The world of `benchmarks.sequence_world` as a log that goes through ingest and the whole default
catalogue of features: three kinds of events follow each other around a circle, and which way they
go, with whether the gaps grow, decides who cancels. Fitted on four fifths of the users, measured
on the others, with 95 % intervals over users.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.sequence_world import world
from events.ingest import ingest
from events.store import open_store
from features.definitions import Definitions
from features.learn import learn_spec
from features.sequence_build import build_sequences
from features.sequence_files import open_sequences
from features.snapshots import build_snapshots, read
from features.time import Cutoff
from runtime.device import Device
from runtime.settings import Settings, load_settings
from training import linear, trees
from training.bootstrap import interval, over_users
from training.metrics import Floats, churn_metrics
from training.rows import labelled, matrix
from training.sequence_fitting import fit_sequence
from training.sequence_spec import SequenceSpec
from training.split import HELD_SHARE, user_share
from training.threads import one_blas_thread

USERS, DRAWS, SEED = 5_000, 500, 0
CUTOFF = Cutoff(datetime(2024, 1, 1, tzinfo=UTC))
DEVICE = Device("cpu", "asked for")
TOML = """
[project]
name = "order"
[[source]]
name = "log"
path = "log.parquet"
[source.columns]
user_id = "user_id"
ts = "ts"
event = "event"
amount = "amount"
channel = "channel"
[eligible]
within_days = 3650
[churn]
kind = "active"
events = ["cancel"]
horizon_days = 30
"""


def log(users: int, seed: int) -> tuple[pl.DataFrame, Floats]:
    """The world's events, of each user the last one within a day before the cutoff, a cancellation
    within the horizon of those who leave, and one at its end of somebody, so that it has passed;
    and the true log-odds."""
    found = world(users, seed)
    offsets, draw = found["offsets"], np.random.default_rng([seed, 1])
    owner = np.repeat(np.arange(users), np.diff(offsets))
    seconds = np.nan_to_num(found["gap"].astype(np.float64)).cumsum()
    before = seconds[offsets[1:] - 1][owner] - seconds + draw.uniform(1, 86_400, users)[owner]
    events = pl.DataFrame(
        {
            "user_id": names(owner),
            "ts": instants(-before),
            "event": np.char.add("kind ", found["kind"].astype(str)),
            "amount": pl.Series(found["amount"].astype(np.float64)).fill_nan(None),
            "channel": np.char.add("channel ", found["channel"].astype(str)),
        }
    )
    leaves = np.append(np.flatnonzero(found["label"]), 0)
    after = draw.uniform(86_400, 29 * 86_400, len(leaves))
    after[-1] = 31 * 86_400
    kind = np.where(np.arange(len(leaves)) < len(leaves) - 1, "cancel", "kind 0")
    late = {"user_id": names(leaves), "ts": instants(after), "event": kind}
    return pl.concat((events, pl.DataFrame(late)), how="diagonal"), found["odds"]


def names(users: Any) -> pl.Series:
    return pl.Series([f"u{user:06d}" for user in users])


def instants(seconds: Floats) -> pl.Series:
    """Instants so many seconds after the cutoff."""
    start = pl.Series([CUTOFF.at], dtype=pl.Datetime("us", "UTC")).cast(pl.Int64)[0]
    return pl.Series(start + (seconds * 1e6).astype(np.int64)).cast(pl.Datetime("us", "UTC"))


def stored(folder: Path, users: int) -> tuple[Settings, pl.DataFrame]:
    events, odds = log(users, SEED)
    events.write_parquet(folder / "log.parquet")
    (folder / "holdfast.toml").write_text(TOML, encoding="utf-8")
    settings = load_settings(folder / "holdfast.toml")
    ingest(settings)
    truth = {"user_id": names(range(users)), "odds": odds.astype(np.float64)}
    return settings, pl.DataFrame(truth)


@one_blas_thread()
def scores(settings: Settings, truth: pl.DataFrame) -> tuple[dict[str, Floats], pl.DataFrame]:
    """Log-odds of the test rows by model, and the rows."""
    known = open_store(settings, CUTOFF.at)
    spec = learn_spec(known, CUTOFF, settings)
    whole = open_store(settings)
    table = build_snapshots(settings, whole, [CUTOFF], spec, DEVICE, labelled=True)
    frame = read(table).join(truth, on="user_id", how="left", maintain_order="left")
    inside = user_share(SEED) < HELD_SHARE
    fit, test = frame.filter(inside), frame.filter(~inside)
    rows, x = labelled(fit, table.features, "fit", SEED), matrix(test, table.features)
    found: dict[str, Floats] = {"oracle": test["odds"].to_numpy()}
    begun = time.monotonic()
    found["logistic"] = linear.fit_churn(linear.LogisticSpec(), rows)[0].margin(x)
    begun = told("logistic", begun)
    found["xgboost"] = trees.fit_churn(trees.XGBoostSpec(seed=SEED), rows, DEVICE)[0].margin(x)
    begun = told("xgboost", begun)
    how = SequenceSpec(seed=SEED)
    info = build_sequences(settings, known, [CUTOFF], spec, DEVICE, how.length)
    sequences, meant = open_sequences(info.path), Definitions.of(settings)
    labels = fit.select("cutoff", "user_id", "churn", "value")
    columns, _ = fit_sequence(how, sequences, labels, meant, DEVICE)
    found["sequence"] = columns.of_rows(sequences, test)["sequence_churn"].to_numpy()
    told("sequence", begun)
    return found, test


def told(name: str, begun: float) -> float:
    print(f"  {name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return time.monotonic()


def main(users: str = str(USERS)) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found, test = scores(*stored(Path(folder), int(users)))
    churn, who = test["churn"].to_numpy().astype(np.float64), test["user_id"].to_numpy().astype(str)

    def measure(weights: Floats) -> dict[str, Floats]:
        return {
            name: churn_metrics(churn, 1 / (1 + np.exp(-margin)), weights)["roc_auc"]
            for name, margin in found.items()
        }

    whole = measure(np.ones((1, len(churn))))
    draws = over_users(measure, who, DRAWS, SEED)
    print(f"\n{len(churn):,} users measured, {churn.mean():.0%} churn\n")
    print("| model | AUC | 95 % | sequence's gain |\n|---|---|---|---|")
    for name in found:
        low, high = interval(draws[name]) or (np.nan, np.nan)
        gain = interval(draws["sequence"] - draws[name]) or (np.nan, np.nan)
        mine = f"{whole['sequence'][0] - whole[name][0]:+.3f} ({gain[0]:+.3f} to {gain[1]:+.3f})"
        print(f"| {name} | {whole[name][0]:.3f} | {low:.3f} to {high:.3f} | {mine} |")


if __name__ == "__main__":
    main(*sys.argv[1:])

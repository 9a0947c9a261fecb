"""Alerts on scores: the newest ones against those before."""

from __future__ import annotations

import numpy as np
import polars as pl

from events.store import CPU, EventStore
from runtime.collect import collect
from runtime.settings import Settings
from runtime.tables import exists, open_table
from serving.alert import Alert
from serving.alert_rules import Counts, index_by_chance, stability_index
from serving.table import SCORES, as_of_key, instant_of_key, scores_path

BINS = 2000
_NAME = "churn_probability"


def score_alerts(settings: Settings, store: EventStore) -> tuple[list[Alert], str]:
    """PSI between the newest two tables of scores up to the as-of, beyond what is by chance."""
    if not exists(scores_path(settings)):
        return [], "nothing is scored yet"
    table = open_table(scores_path(settings), SCORES)
    keys = [key for key in table.partitions("as_of_key") if key <= as_of_key(store.as_of)]
    if len(keys) < 2:  # noqa: PLR2004
        return [], "scored at fewer than two instants up to the as-of"
    (old, _), (new, model) = (_histogram(table.scan(as_of_key=key)) for key in keys[-2:])
    index = stability_index(old, new)
    chance = index_by_chance(int(old.sum()), int(new.sum()))
    if index <= settings.quality.alert_psi + 2 * chance:
        return [], "looked at"
    since = instant_of_key(keys[-1]).date()
    mean = [float((h * (np.arange(BINS) + 0.5) / BINS).sum() / h.sum()) for h in (old, new)]
    alert = Alert(
        what="scores",
        name=_NAME,
        found=round(index, 4),
        expected=round(chance, 4),
        since=since,
        severity="warning",
        sentence=f"the scores as of {keys[-1]} (model {model}) are spread otherwise than those as "
        f"of {keys[-2]}: PSI {index:.2f}; their mean went from {mean[0]:.3f} to {mean[1]:.3f}",
    )
    return [alert], "looked at"


def _histogram(scores: pl.LazyFrame) -> tuple[Counts, str]:
    """Scores in equal bins from 0 to 1, and the run of the model."""
    place = (pl.col(_NAME) * BINS).cast(pl.Int64()).clip(0, BINS - 1)
    plan = scores.group_by(place=place).agg(rows=pl.len(), run=pl.col("model_run_id").max())
    found = collect(plan, CPU)
    counts = np.zeros(BINS, dtype=np.int64)
    counts[found["place"].to_numpy()] = found["rows"].to_numpy()
    return counts, str(found["run"].max())[:8]

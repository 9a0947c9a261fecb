"""Labels without hindsight: as they were known at the test cutoff.

Where rows tell when they became known, some tell of what happened before the test cutoff and came
after it. A model that is measured there must not have learned from them, nor its calibration; the
one that serves at the as-of may.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from events.store import EventStore
from events.users import VALID_FROM, scan_users
from features.matured import label_end
from features.snapshots import Snapshots, build_snapshots
from features.spec import FeatureSpec
from features.steps import shortened
from features.time import Cutoff
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.settings import Settings

KEY = ["cutoff", "user_id"]
THEN = " then"


def snapshots_then(
    settings: Settings,
    store: EventStore,
    then: datetime,
    cutoffs: Sequence[Cutoff],
    spec: FeatureSpec,
    device: Device,
    cluster: Cluster = IN_PROCESS,
    steps: tuple[int, ...] = (),
) -> Snapshots | None:
    """Snapshots at those of the cutoffs of which a label was known at `then`, with labels as they
    were known there; None where there is no such cutoff, or no row tells when it became known."""
    first = shortened(settings, steps[0]) if steps else settings
    known = [cutoff for cutoff in cutoffs if label_end(cutoff, first) <= then]
    if not known or not _tells(settings, store):
        return None
    earlier = store.as_known_at(then)
    return build_snapshots(settings, earlier, known, spec, device, True, cluster, steps)


def without_hindsight(frame: pl.DataFrame, told: pl.DataFrame, then: datetime) -> pl.DataFrame:
    """Rows (`cutoff`, `user_id`, ...) of which those before `then` have the labels of `told`
    (`cutoff`, `user_id` and the labels alone), null where it has none."""
    labels = [name for name in told.columns if name not in KEY]
    joined = frame.join(
        told.select(*KEY, pl.col(labels).name.suffix(THEN)),
        on=KEY,
        how="left",
        maintain_order="left",
    )
    old = pl.col("cutoff") < then
    return joined.with_columns(
        pl.when(old).then(name + THEN).otherwise(name).alias(name) for name in labels
    ).select(frame.columns)


def _tells(settings: Settings, store: EventStore) -> bool:
    """Whether a label may have been another one when less was known."""
    if store.has_arrivals:
        return True
    users = scan_users(settings) if settings.churn.date_column else None
    return users is not None and VALID_FROM in users.collect_schema()

"""`torchrun ... holdfast train --model sequence`: several processes, a GPU each, and one model.

All go the same way through the recipe, so that they meet at every step of the sequence model. What
is written, the snapshots first and the run last, is written by the first of them alone.
"""

from __future__ import annotations

import os
import time
from contextlib import redirect_stderr
from datetime import datetime
from pathlib import Path

from runtime.cluster import Cluster
from runtime.device import Device
from runtime.errors import UsageError
from runtime.settings import Settings
from training.kinds import Spec
from training.recipe import TrainResult, ready_to_train, recorded, run_recipe


def asked() -> bool:
    """Whether `torchrun` has started more processes than this."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def train_together(
    settings: Settings,
    as_of: datetime | None,
    model: str | None,
    device: Device,
    cluster: Cluster,
    spec: Spec | None = None,
) -> TrainResult | None:
    """As `training.recipe.train`; None for all processes but the first.

    Raises UsageError for another model than the sequence model: others have nothing to share, and
    "auto" looks at the clock, by which the processes would part.
    """
    from training.ranks import joined, own_device  # loads PyTorch

    kind = model or settings.training.model
    if kind != "sequence":
        raise UsageError(
            f"model '{kind}': several processes train the sequence model alone; take --model "
            "sequence, or call holdfast without torchrun"
        )
    start, given = time.perf_counter(), (settings, as_of, model, device, cluster, spec)
    with joined(own_device(device.kind)) as ranks:
        if ranks.rank == 0:
            found = ready_to_train(*given)
            ranks.wait()
            return recorded(settings, *found, start)
        with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
            ranks.wait()
            ready, level = ready_to_train(*given)
            draws, given_to = settings.training.bootstrap, (ready.spec, ready.task)
            run_recipe(ready.frame, ready.plan.split, *given_to, draws, level, ready.newest)
        return None

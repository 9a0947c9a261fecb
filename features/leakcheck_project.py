"""The leak check of a project: its store, its catalogue or features of its own, its cutoffs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from events.store import open_store
from features.leakcheck import Checked, check, steps
from features.leakcheck_catalogue import catalogue, choose_cutoffs, sample
from features.leakcheck_own import own
from features.matured import require_history
from features.time import Cutoff
from runtime.progress import progress
from runtime.settings import Settings


def leakcheck(
    settings: Settings,
    cutoffs: Sequence[datetime],
    as_of: datetime | None,
    users: int,
    own_file: Path | None = None,
) -> Checked:
    """Checks the catalogue, or the features of `own_file`, on a sample of so many users.

    Without cutoffs some are chosen. Raises LabelError where there is nothing to check,
    StoreError, InputError.
    """
    store = open_store(settings, as_of)
    wanted = [Cutoff(instant) for instant in sorted(set(cutoffs))]
    for cutoff in wanted:
        require_history(store, cutoff)
    log = sample(store, settings, users)
    wanted = wanted or choose_cutoffs(log, settings.project.timezone)
    compute = catalogue(settings) if own_file is None else own(own_file)
    with progress("leakcheck", steps(wanted), unit="worlds") as advance:
        return check(compute, log, wanted, advance)

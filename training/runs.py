"""Runs as a reviewer names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.errors import ModelError

CHAMPION, CHALLENGER = "champion", "challenger"
SHORT = 8  # digits of a run id that are shown, and enough to name it
MOST_SHOWN = 5


@dataclass(frozen=True)
class RunInfo:
    """One run as a list shows it.

    `started`: seconds since 1970; `version`: None where it is not registered; `model_id`:
    MLflow's, None where no model was logged.
    """

    run_id: str
    model: str
    as_of: str
    status: str
    started: float
    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]
    version: int | None = None
    model_id: str | None = None
    aliases: tuple[str, ...] = ()

    def __str__(self) -> str:
        version = () if self.version is None else (f"version {self.version}",)
        return f"{self.run_id[:SHORT]} ({', '.join((self.model, *version, *self.aliases))})"


def pick(runs: Sequence[RunInfo], name: str | None) -> RunInfo:
    """The registered run meant by a run id (or its first 8 or more digits), a version, an alias
    or a kind of model (its run of the newest as-of, the last of several); the champion for None.

    `runs`: newest first. Raises ModelError listing what there is.
    """
    wanted = name or CHAMPION
    registered = [run for run in runs if run.version is not None]
    usable = sorted(registered, key=lambda run: run.as_of, reverse=True)
    if not usable:
        raise ModelError(f"model '{wanted}': no model is registered yet; run 'holdfast train'")
    for meant in (_by_alias, _by_name, _by_short_id):
        if found := next((run for run in usable if meant(run, wanted)), None):
            return found
    more = f" and {len(usable) - MOST_SHOWN} more" if usable[MOST_SHOWN:] else ""
    known = ", ".join(map(str, usable[:MOST_SHOWN])) + more
    if wanted == CHAMPION:
        raise ModelError(
            f"no model is champion; 'holdfast train' makes one, 'holdfast promote' one of {known}"
        )
    raise ModelError(f"model '{wanted}' is not known; choose one of {known}")


def _by_alias(run: RunInfo, wanted: str) -> bool:
    return wanted in run.aliases


def _by_name(run: RunInfo, wanted: str) -> bool:
    return wanted in (run.run_id, str(run.version), run.model)


def _by_short_id(run: RunInfo, wanted: str) -> bool:
    return len(wanted) >= SHORT and run.run_id.startswith(wanted)

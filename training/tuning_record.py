"""What a search leaves in MLflow: a run with the best settings and a page, and one below it for
each trial."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.clock import show
from runtime.files import write_text
from runtime.settings import Settings
from training import tracking
from training.lineage import code_version
from training.recipe import TrainResult
from training.record import TITLES
from training.spaces import Target
from training.split import Split
from training.studies import Finished, Found, Study
from training.trials import Bench
from training.tuning_page import tuning_page

MEASURES: dict[Target, str] = {"churn": "log loss", "value": "Tweedie deviance"}
TUNED_BY_TAG = "holdfast.tuned_by"


@dataclass(frozen=True)
class Record:
    settings: Settings
    bench: Bench
    split: Split
    run: tracking.OpenRun

    def trial(self, target: Target, trial: Finished) -> None:
        """A run of its own below the search's."""
        state = "finished" if trial.loss is not None else f"stopped at {trial.stopped_at:.0%}"
        rounds = {} if trial.rounds is None else {"rounds": trial.rounds}
        params = {"target": target, "state": state, "default": trial.is_default, **rounds}
        loss = {} if trial.loss is None else {f"validation_{target}_loss": trial.loss}
        self.run.log_nested(
            f"{target} {trial.number}",
            {},
            {**params, **trial.params},
            {**loss, "seconds": trial.seconds},
        )

    def close(
        self,
        studies: Mapping[Target, Study],
        found: Mapping[Target, Found],
        notes: Sequence[str],
        winner: Path,
        trained: TrainResult,
    ) -> None:
        """The best settings, their figures, the page, and the file with the winning settings."""
        params: dict[str, Any] = {**self._facts(), "winner_run": trained.run_id}
        metrics: dict[str, float] = {}
        for target, one in found.items():
            params |= {f"{target}_{name}": value for name, value in one.settings.items()}
            metrics[f"validation_{target}_loss"] = one.loss
            metrics[f"default_validation_{target}_loss"] = one.default_loss
            metrics[f"{target}_trials"] = one.trials
        self.run.log(params, metrics)
        self.run.client.set_tag(trained.run_id, TUNED_BY_TAG, self.run.run_id)
        page = tuning_page(
            f"Tuning of {TITLES[self.bench.task.kind]} as of {show(self.bench.task.as_of)}",
            f"Judged at {self.bench.calibrate}; nothing of the test slice was used",
            {target: (MEASURES[target], studies[target], one) for target, one in found.items()},
            notes,
            self._facts() | code_version(),
        )
        with tempfile.TemporaryDirectory() as folder:
            write_text(Path(folder, "tuning.html"), page)
            shutil.copyfile(winner, Path(folder, "winner.json"))
            self.run.log_files(Path(folder))

    def _facts(self) -> dict[str, str]:
        task = self.bench.task
        return {
            "model": task.kind,
            "as_of": show(task.as_of),
            "seed": str(task.seed),
            "fit": str(self.bench.fit),
            "calibrate": str(self.bench.calibrate),
            "data_digest": self.bench.snapshots.digest,
            "search": self.bench.digest,
            "device": f"{task.device.kind} ({task.device.reason})",
        }


@contextmanager
def recorded(settings: Settings, bench: Bench, split: Split) -> Iterator[Record]:
    """A run that is open while the search goes on."""
    name = f"tune {bench.task.kind}"
    at = show(bench.task.as_of)
    tags = {tracking.MODEL_TAG: name, tracking.AS_OF_TAG: at}
    with tracking.tracked(settings, f"{name} {at}", tags) as run:
        yield Record(settings, bench, split, run)

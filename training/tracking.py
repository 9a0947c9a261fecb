"""The one module that speaks MLflow: runs, the registry, and models by name.

Runs lie in `<tracking>/mlflow.db`, their files under `<tracking>/artifacts`. Everything goes
through clients bound to that database, so MLflow's process-wide state is left alone.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from runtime.errors import HoldfastError, ModelError, from_foreign
from runtime.files import make_folder
from runtime.settings import Settings
from training import bundle
from training.lineage import PROCESS, is_alive, requirements, this_process
from training.model import PREDICTED, Model
from training.moved import follow
from training.runs import CHALLENGER, CHAMPION, RunInfo, pick

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MODEL_TAG, AS_OF_TAG = "holdfast.model", "holdfast.as_of"
MODEL_ID_TAG, BUNDLE_TAG = "holdfast.model_id", "holdfast.bundle"
PARENT_TAG = "mlflow.parentRunId"
DATA = "model"  # the folder of ours inside the folder of MLflow's model
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
MOST_RUNS = 10_000


@dataclass
class OpenRun:
    """The run that is being written. `model_id` is known once the model is logged."""

    client: MlflowClient
    run_id: str
    experiment_id: str
    model_id: str | None = None
    files: str | None = None  # where MLflow keeps the logged model, as a URI

    def log(self, params: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """All parameters and metrics in one transaction."""
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        self.client.log_batch(
            self.run_id,
            params=[Param(name, str(value)) for name, value in params.items()],
            metrics=[Metric(name, float(value), now, 0) for name, value in metrics.items()],
        )

    def log_nested(
        self,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
    ) -> str:
        """A finished run under this one, without a model; its id."""
        parent = {PARENT_TAG: self.run_id, PROCESS: this_process()}
        info = self.client.create_run(self.experiment_id, run_name=name, tags={**tags, **parent})
        child = OpenRun(self.client, info.info.run_id, self.experiment_id)
        child.log(params, metrics)
        self.client.set_terminated(child.run_id, "FINISHED")
        return child.run_id

    def log_data(self, name: str, digest: str, source: str) -> None:
        """What the run was fitted on, as MLflow's data set."""
        from mlflow.entities import Dataset, DatasetInput

        data = Dataset(name, digest, "delta", source)
        self.client.log_inputs(self.run_id, [DatasetInput(data)])

    def log_files(self, folder: Path) -> None:
        self.client.log_artifacts(self.run_id, str(folder))

    def log_model(self, model: Model, example: pl.DataFrame) -> None:
        """Logs the model with its signature, an input example and no pickle.

        example    rows of what `model.predict` takes, and no other column
        """
        from mlflow import pyfunc
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model as Logged

        logged = self.client.create_logged_model(
            self.experiment_id, name=model.kind, source_run_id=self.run_id
        )
        with tempfile.TemporaryDirectory() as folder:
            pyfunc.save_model(
                str(Path(folder, "mlflow")),
                loader_module="training.pyfunc",
                data_path=str(model.save(Path(folder, DATA))),
                mlflow_model=Logged(
                    run_id=self.run_id, model_id=logged.model_id, model_uuid=logged.model_id
                ),
                signature=_signature(example),
                input_example=example.to_pandas(),
                pip_requirements=requirements(),
            )
            self.client.set_tag(self.run_id, BUNDLE_TAG, bundle.digest(Path(folder, DATA)))
            self.client.log_model_artifacts(logged.model_id, str(Path(folder, "mlflow")))
        self.client.finalize_logged_model(logged.model_id, "READY")
        self.client.log_outputs(self.run_id, [LoggedModelOutput(logged.model_id, 0)])
        self.client.set_tag(self.run_id, MODEL_ID_TAG, logged.model_id)
        self.model_id, self.files = logged.model_id, logged.artifact_location


def _signature(rows: pl.DataFrame) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    # pandas turns whole numbers with a gap into floats, and MLflow would refuse those.
    inputs = [
        ColSpec("double" if dtype.is_float() else AnyType(), name)  # type: ignore[no-untyped-call]
        for name, dtype in rows.schema.items()
    ]
    outputs = [ColSpec("double", name, required=name == "churn_probability") for name in PREDICTED]
    return ModelSignature(Schema([*inputs]), Schema([*outputs]))


@contextmanager
def tracked(settings: Settings, name: str, tags: Mapping[str, str]) -> Iterator[OpenRun]:
    """A run that ends as FINISHED, as FAILED with its error, or, interrupted, as KILLED.

    Runs of processes that have died are closed first.
    """
    with _told(settings):
        run = _open_run(settings, name, tags)
        try:
            yield run
        except BaseException as error:
            with suppress(Exception):  # a full disk fails here too; what failed first matters
                run.client.set_tag(run.run_id, "error", f"{type(error).__name__}: {error}"[:1000])
                killed = isinstance(error, KeyboardInterrupt)
                run.client.set_terminated(run.run_id, "KILLED" if killed else "FAILED")
            raise
        run.client.set_terminated(run.run_id, "FINISHED")


@contextmanager
def _told(settings: Settings) -> Iterator[None]:
    """A full or read-only disk in the user's words, whichever library met it."""
    try:
        yield
    except HoldfastError:
        raise
    except Exception as error:
        if known := from_foreign(error, str(settings.tracking)):
            raise known from error
        raise


def _open_run(settings: Settings, name: str, tags: Mapping[str, str]) -> OpenRun:
    client = _client(settings)
    experiment_id = _experiment(client, settings)
    _close_dead_runs(client, experiment_id)
    run = client.create_run(experiment_id, run_name=name, tags={**tags, PROCESS: this_process()})
    return OpenRun(client, run.info.run_id, experiment_id)


def register(settings: Settings, run: OpenRun, aliased: bool = True) -> int:
    """Registers the model of a finished run. Where it may be `aliased` the first becomes champion,
    later ones challenger."""
    from mlflow.exceptions import MlflowException

    client, name = run.client, settings.project.name
    with _told(settings):
        try:
            known = client.get_registered_model(name)
        except MlflowException:
            known = client.create_registered_model(name)
        # Not "models:/<id>": MLflow would look that up in the process-wide database.
        version = client.create_model_version(
            name, str(run.files), run_id=run.run_id, model_id=run.model_id
        ).version
        if aliased:
            alias = CHALLENGER if CHAMPION in known.aliases else CHAMPION
            client.set_registered_model_alias(name, alias, str(version))
    return int(version)


def list_runs(settings: Settings) -> tuple[RunInfo, ...]:
    """All runs of the project but those nested in others, newest first; none where nothing was
    trained yet."""
    if not (settings.tracking / "mlflow.db").exists():
        return ()
    client, name = _client(settings), settings.project.name
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return ()
    versions = {v.run_id: int(v.version) for v in client.search_model_versions(f"name = '{name}'")}
    aliases = _aliases(client, name)
    runs = client.search_runs(
        [experiment.experiment_id], max_results=MOST_RUNS, order_by=["attributes.start_time DESC"]
    )
    return tuple(
        _info(run, versions.get(run.info.run_id), aliases)
        for run in runs
        if PARENT_TAG not in run.data.tags
    )


def _info(run: Run, version: int | None, aliases: Mapping[str, int]) -> RunInfo:
    tags = run.data.tags
    return RunInfo(
        run_id=run.info.run_id,
        model=tags.get(MODEL_TAG, ""),
        as_of=tags.get(AS_OF_TAG, ""),
        status=run.info.status,
        started=run.info.start_time / 1000,
        metrics=dict(run.data.metrics),
        params=dict(run.data.params),
        tags={k: v for k, v in tags.items() if not k.startswith("mlflow.")},
        version=version,
        model_id=tags.get(MODEL_ID_TAG),
        aliases=tuple(sorted(a for a, v in aliases.items() if v == version)),
    )


def load_model(settings: Settings, name_or_run: str | None = None) -> tuple[Model, str]:
    """The model and its run id; see `runs.pick` for the names. Raises ModelError where there is
    none, or where its files are not those that the run's tag says."""
    run = pick(list_runs(settings), name_or_run)
    # By our own layout, not the absolute address MLflow noted, so that a folder can be moved.
    files = settings.tracking / "artifacts" / "models" / str(run.model_id) / "artifacts"
    folder = files / "data" / DATA
    if (said := run.tags.get(BUNDLE_TAG)) != bundle.digest(folder):
        raise ModelError(
            f"{folder}: is not the model that run {run.run_id} logged (its digest there: {said}); "
            "restore it, or train again"
        )
    return Model.load(folder), run.run_id


def promote(settings: Settings, name_or_run: str) -> RunInfo:
    """Makes the model of a run the champion. Raises ModelError."""
    run = pick(list_runs(settings), name_or_run)
    client = _client(settings)
    client.set_registered_model_alias(settings.project.name, CHAMPION, str(run.version))
    if CHALLENGER in run.aliases:
        client.delete_registered_model_alias(settings.project.name, CHALLENGER)
    return pick(list_runs(settings), CHAMPION)


def _client(settings: Settings) -> MlflowClient:
    """A client of the project's database, which is made where there is none."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    folder = make_folder(settings.tracking).resolve()
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    with _told(settings):
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _experiment(client: MlflowClient, settings: Settings) -> str:
    folder = make_folder(settings.tracking / "artifacts").resolve()
    found = client.get_experiment_by_name(settings.project.name)
    if found is None:
        return str(client.create_experiment(settings.project.name, folder.as_uri()))
    follow(folder.parent / "mlflow.db", str(found.artifact_location), folder.as_uri())
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _close_dead_runs(client: MlflowClient, experiment_id: str) -> None:
    """A process killed outright cannot close its run; the next one does."""
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
        if not is_alive(run.data.tags.get(PROCESS, "")):
            client.set_terminated(run.info.run_id, "KILLED")


def _aliases(client: MlflowClient, name: str) -> dict[str, int]:
    from mlflow.exceptions import MlflowException

    try:
        model = client.get_registered_model(name)
    except MlflowException:
        return {}
    return {alias: int(version) for alias, version in model.aliases.items()}

"""Runs in MLflow: what a job was told, what it read, counted and how long it took.

Only the client API is used: nothing global is set, so a notebook's own active run and tracking
URI stay as they are. MLflow is imported on first use (it costs seconds) and is an extra.
"""

import logging
import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from instructmining.errors import UserError
from instructmining.rules.rule import LinearRule
from instructmining.settings.sections import Tracking
from instructmining.tracking import histograms as plots

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient
    from numpy.typing import NDArray

CANARY_TAG = "canary_rule"  # fingerprint of the rule that a run tried on spoiled rows
_PARAMS_PER_BATCH = 100  # the store's own limit, as is the length of a value
_PARAM_LENGTH = 6000
_NOT_IN_A_NAME = re.compile(r"[^\w\-. :/]")  # the store refuses them; users' own keys have them


class Input(NamedTuple):
    """Something a run read."""

    location: str  # a file or folder, or a table's name
    version: int | None = None  # where it is a Delta table
    table: bool = False  # location is a name in the catalog


class Run:
    """A run that is being recorded; with tracking off it has an id and records nothing."""

    def __init__(self, client: "MlflowClient | None", run_id: str) -> None:
        self.id = run_id
        self._client = client

    @property
    def records(self) -> bool:
        """Whether anything is recorded: what is costly to gather is not gathered for nothing."""
        return self._client is not None

    def log_params(self, settings: Mapping[str, Any]) -> None:
        """Record nested settings as parameters `a.b`; long values are cut by the store's limit."""
        if self._client is None:
            return
        from mlflow.entities import Param

        parameters = {_NOT_IN_A_NAME.sub("_", key): str(value) for key, value in _flat(settings)}
        params = [
            Param(key, without_credentials(value)[:_PARAM_LENGTH])
            for key, value in parameters.items()
        ]
        for start in range(0, len(params), _PARAMS_PER_BATCH):
            self._client.log_batch(self.id, params=params[start : start + _PARAMS_PER_BATCH])

    def log_rule(self, rule: LinearRule, why: str = "", mismatches: Iterable[str] = ()) -> None:
        """Record the rule that predicts, why it was taken, and where its models differ."""
        if self._client is None:
            return
        self.log_params(
            {
                "rule": {
                    "name": rule.name,
                    "version": rule.version,
                    "fingerprint": rule.fingerprint,
                    "why": why,
                }
            }
        )
        self._client.set_tag(self.id, "rule", f"{rule.name} {rule.version}")
        self._client.set_tag(self.id, "rule_mismatch", "; ".join(mismatches) or "none")
        self._client.log_text(self.id, rule.to_json(), "rule.json")

    def log_canary(self, rule: LinearRule, metrics: Mapping[str, float]) -> None:
        """Record how often the rule prefers real rows, where `rules promote` looks for it."""
        if self._client is not None and metrics:
            self._client.set_tag(self.id, CANARY_TAG, rule.fingerprint)
            self.log_metrics(metrics)

    def log_models(self, definitions: Mapping[str, Mapping[str, Any]]) -> None:
        """Record, by fingerprint, what defines the numbers of each model."""
        if self._client is not None:
            self._client.log_dict(self.id, dict(definitions), "fingerprints.json")

    def log_audit(self, windows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Record, by stage, what each task did where: `audit.json`."""
        if self._client is not None:
            self._client.log_dict(self.id, dict(windows), "audit.json")

    def log_metrics(self, metrics: Mapping[str, float], prefix: str = "") -> None:
        """Record counts, or with `prefix="seconds_"` the times of stages."""
        if self._client is None or not metrics:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(
            self.id, [Metric(prefix + key, float(value), now, 0) for key, value in metrics.items()]
        )

    def log_inputs(self, inputs: Iterable[Input]) -> None:
        """Record what was read, by name and version; the data themselves are not touched."""
        if self._client is None:
            return
        from mlflow.entities import DatasetInput, InputTag

        tags = [InputTag("mlflow.data.context", "scoring")]
        self._client.log_inputs(
            self.id, [DatasetInput(_dataset(data)._to_mlflow_entity(), tags) for data in inputs]
        )

    def log_child(self, name: str, params: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Record a run below this one, finished as it is logged."""
        if self._client is None:
            return
        from mlflow.entities import Metric, Param
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

        experiment = self._client.get_run(self.id).info.experiment_id
        now = int(time.time() * 1000)
        child = self._client.create_run(
            experiment, tags={MLFLOW_PARENT_RUN_ID: self.id}, run_name=name
        ).info.run_id
        self._client.log_batch(
            child,
            [Metric(key, float(value), now, 0) for key, value in metrics.items()],
            [Param(key, str(value)[:_PARAM_LENGTH]) for key, value in params.items()],
        )
        self._client.set_terminated(child)

    def log_text(self, text: str, file: str) -> None:
        """Record a text as an artifact."""
        if self._client is not None:
            self._client.log_text(self.id, text, file)

    def log_figures(self, figures: Mapping[str, Any]) -> None:
        """Record figures as `plots/NAME.png`."""
        if self._client is not None:
            for name, figure in figures.items():
                self._client.log_figure(self.id, figure, f"plots/{name}.png")

    def log_histogram(
        self, name: str, edges: "NDArray[np.float64]", counts: "NDArray[np.int64]", missing: int = 0
    ) -> None:
        """Draw one indicator's distribution from binned counts, as `plots/NAME.png`.

        Args:
            edges: n + 1 bin edges, in the indicator's unit.
            counts: n counts of examples.
            missing: examples without a value.
        """
        if self._client is not None:
            figure = plots.histogram(name, edges, counts, missing)
            self._client.log_figure(self.id, figure, f"plots/{name}.png")


@contextmanager
def log_run(settings: Tracking, name: str) -> Iterator[Run]:
    """Record a run from here to the end of the block; an exception marks it as failed.

    Raises:
        UserError: MLflow is not installed, or its store cannot be reached.
    """
    if settings.uri == "none":
        yield Run(None, uuid.uuid4().hex)
        return
    with connection(settings) as client:
        recorded = client.create_run(experiment_id(client, settings), run_name=name)
    run = Run(client, recorded.info.run_id)
    try:
        yield run
    except BaseException:
        with suppress(Exception):  # what went wrong is the news
            client.set_terminated(run.id, "FAILED")
        raise
    client.set_terminated(run.id, "FINISHED")


@contextmanager
def connection(settings: Tracking) -> Iterator["MlflowClient"]:
    """A client of the tracking store and the registry; what MLflow raises becomes one sentence."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # 7 wait for minutes
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ModuleNotFoundError:
        raise UserError(
            "MLflow is not installed: pip install 'instructmining[tracking]', "
            "or do without by --set tracking.uri=none"
        ) from None
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # "successfully registered …"
    disabled = logging.root.manager.disable
    logging.disable(logging.INFO)  # migrations of tables, by loggers that set their own levels
    try:
        if (database := _sqlite_file(settings.uri)) is not None:
            database.parent.mkdir(parents=True, exist_ok=True)
        yield MlflowClient(settings.uri, registry_uri(settings))
    except (MlflowException, OSError, *_database_errors()) as error:
        where = dict.fromkeys((settings.uri, registry_uri(settings)))
        code = getattr(error, "error_code", "INTERNAL_ERROR")  # what a lost connection is, too
        remedy = "name another with --tracking-uri, or do without by --tracking-uri none"
        message = f"MLflow ({', '.join(where)}): {str(error).strip().splitlines()[0][:300]}"
        raise UserError(
            without_credentials(message) + (f"; {remedy}" if code == "INTERNAL_ERROR" else "")
        ) from error
    finally:
        logging.disable(disabled)


def without_credentials(text: str) -> str:
    """The text, user and password of the addresses in it left out."""
    return re.sub(r"(?<=://)[^/@\s]*@", "", text)


def _database_errors() -> tuple[type[Exception], ...]:
    try:
        from sqlalchemy.exc import SQLAlchemyError
    except ModuleNotFoundError:  # mlflow-skinny reaches servers alone
        return ()
    return (SQLAlchemyError,)


def registry_uri(settings: Tracking) -> str:
    """Where rules are registered: with a Databricks workspace, its Unity Catalog."""
    default = "databricks-uc" if settings.uri.startswith("databricks") else settings.uri
    return settings.registry_uri or default


def experiment_id(client: "MlflowClient", settings: Tracking) -> str:
    """The experiment's id; a new one keeps its artifacts in `mlartifacts`, beside the database."""
    name = settings.experiment
    if settings.uri.startswith("databricks") and not name.startswith("/"):
        name = f"/Shared/{name}"  # experiments are workspace objects there
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    database = _sqlite_file(settings.uri)
    folder = database and (database.parent / "mlartifacts" / name.strip("/")).as_uri()
    return str(client.create_experiment(name, artifact_location=folder))


def _sqlite_file(uri: str) -> Path | None:
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)).absolute() if uri.startswith(prefix) else None


def _dataset(data: Input) -> Any:
    from mlflow.data.delta_dataset_source import DeltaDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.data.spark_dataset_source import SparkDatasetSource

    if data.version is None:
        files = SparkDatasetSource(**{"table_name" if data.table else "path": data.location})
        return MetaDataset(files, name=data.location)
    delta = DeltaDatasetSource(
        **{"delta_table_name" if data.table else "path": data.location},
        delta_table_version=data.version,
    )
    return MetaDataset(delta, name=f"{data.location} version {data.version}")


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + str(key), value

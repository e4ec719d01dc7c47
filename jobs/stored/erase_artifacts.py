"""Erased examples in MLflow: artifacts of our runs, and the files that those runs wrote."""

import shlex
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from instructmining.erasing.traces import Trace, verdict
from instructmining.settings.sections import Tracking
from instructmining.spark.paths import absolute, shown
from instructmining.tracking.mlflow_runs import connection
from jobs.stored.erase_files import LINES, OTHERS, PAGES, content
from jobs.stored.erase_finding import Finding

_WRITTEN = ("export.to", "report.to")  # parameters of our runs that name files
_KINDS = (*LINES, *PAGES, *OTHERS)
_LARGEST = 256 << 20  # bytes of an artifact that is fetched
_DELETE = (
    "from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository; "
    "get_artifact_repository({uri!r}).delete_artifacts({path!r})"
)


def runs_of(tracking: Tracking) -> list[Any]:
    """All runs of the experiment, as MLflow gives them; none where nothing is tracked."""
    return [] if tracking.uri == "none" else list(_runs(tracking))


def written_by(runs: Sequence[Any], store: str) -> list[str]:
    """Names of what the runs on this store wrote; a relative one is of the current folder."""
    params = [run.data.params for run in runs if "store" in run.data.params]
    names = [
        parameters.get(key, "None")
        for parameters in params
        if _place(parameters["store"]) == _place(store)
        for key in _WRITTEN
    ]
    return [name for name in dict.fromkeys(names) if name not in ("None", "")]


def findings_in_artifacts(
    tracking: Tracking, runs: Sequence[Any], traces: Sequence[Trace]
) -> Iterator[Finding]:
    """Artifacts of the runs that hold, or may hold, an example."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    for run in runs:
        uri = run.info.artifact_uri
        repository = get_artifact_repository(uri)
        for path in _paths(repository):
            with tempfile.TemporaryDirectory() as folder:
                seen = verdict(content(Path(repository.download_artifacts(path, folder))), traces)
            if seen:
                name = f"artifact {path} of run {run.info.run_id}"
                delete = partial(repository.delete_artifacts, path)
                yield Finding(name, seen, _command(tracking, uri, path), delete)


def _command(tracking: Tracking, uri: str, path: str) -> str:
    address = f"MLFLOW_TRACKING_URI={shlex.quote(shown(tracking.uri))}"
    return f"{address} {shlex.join(['python', '-c', _DELETE.format(uri=uri, path=path)])}"


def _place(store: str) -> str:
    return shown(absolute(store)).rstrip("/")


def _runs(tracking: Tracking) -> Iterator[Any]:
    with connection(tracking) as client:
        name = tracking.experiment
        names = (name, f"/Shared/{name}") if tracking.uri.startswith("databricks") else (name,)
        experiments = [client.get_experiment_by_name(name) for name in names]
        ids = [experiment.experiment_id for experiment in experiments if experiment is not None]
        token: str | None = ""
        while ids and token is not None:
            page = client.search_runs(ids, page_token=token or None, max_results=1000)
            yield from page
            token = page.token or None


def _paths(repository: Any) -> Iterator[str]:
    """Files of a run of a kind that can hold texts."""
    folders: list[str | None] = [None]
    while folders:
        for artifact in repository.list_artifacts(folders.pop()):
            if artifact.is_dir:
                folders.append(artifact.path)
            elif artifact.path.endswith(_KINDS) and artifact.file_size < _LARGEST:
                yield artifact.path

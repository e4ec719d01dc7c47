"""What holds texts beside the tables: index files, exported subsets, reports, MLflow artifacts."""

import gzip
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instructmining.erasing.traces import Trace, verdict
from instructmining.errors import UserError
from instructmining.layouts.standard_form import standard_rows
from instructmining.settings.sections import Read, Settings, Tracking
from instructmining.spark.paths import absolute, shown
from instructmining.tracking.mlflow_runs import connection

_LINES = (".jsonl", ".jsonl.gz")
_PAGES = (".html",)
_LISTED = (".json", ".csv", ".tsv", ".parquet", ".txt")
_LARGEST = 256 << 20  # bytes of an artifact that is looked into
_DETECTED = Read().model_dump()
_RECORDED = ("export.to", "report.to")  # parameters of our runs that name files


@dataclass(frozen=True)
class Elsewhere:
    """What may hold an example beside the tables."""

    files: list[Path]
    runs: list[Any]  # of MLflow, whose artifacts are looked into
    notes: list[str]  # lines about places that are only named


def look_elsewhere(settings: Settings) -> Elsewhere:
    """Files under `--files`, those named by `--export`, and what MLflow knows of our runs.

    It changes nothing: whatever cannot be asked fails before anything is erased.

    Raises:
        UserError: what `--export` names does not exist; MLflow cannot be reached.
    """
    places = [Path(each) for each in settings.erase.exports]
    if absent := [place for place in places if not place.exists()]:
        raise UserError(f"--export {absent[0]}: there is no such file or folder")
    places += [Path(settings.files)] if settings.files else []
    runs = [] if settings.tracking.uri == "none" else list(_runs(settings.tracking))
    notes = []
    for name in _recorded(runs, settings.store):
        if name.startswith("table:") or "://" in name:  # the user's own, and only named
            notes.append(f"  NOT erased: {name} was exported to and may hold it")
        elif Path(absolute(name)).exists():
            places.append(Path(absolute(name)))
        else:
            notes.append(
                f"  not found: {absolute(name)}, which a run wrote; where it was moved, "
                "name it with --export"
            )
    found: dict[Path, None] = {}
    for place in places:
        inside = sorted(place.rglob("*")) if place.is_dir() else [place]
        found |= dict.fromkeys(each.absolute() for each in inside if each.is_file())
    return Elsewhere(list(found), runs, notes)


def erase_elsewhere(
    settings: Settings, found: Elsewhere, ids: Sequence[str], traces: Sequence[Trace]
) -> list[str]:
    """Erase from files and artifacts; lines that say what was done, and what was not.

    Lines of exported JSON lines, whole pages and artifacts, and every index file are removed.
    """
    lines = []
    index = (Path(settings.files) / "index").absolute() if settings.files else None
    for file in found.files:
        if index and file.is_relative_to(index):
            file.unlink()
            lines.append(f"  removed index    {file}")
        else:
            lines += _erase_file(file, set(ids), traces)
    for run in found.runs:
        lines += _erase_artifacts(run, traces)
    return lines + found.notes


def _erase_file(file: Path, ids: set[str], traces: Sequence[Trace]) -> Iterator[str]:
    if file.name.endswith(_LINES):
        removed, left = _without_lines(file, ids, traces)
        if removed:
            yield f"  {removed:,} lines removed from {file}"
        if left:
            yield f"  NOT erased: {left:,} lines of {file} may hold it; delete them if they do"
    elif file.suffix == ".parquet":
        yield f"  NOT erased: {file} may hold it; delete it and select anew"
    elif file.suffix in (*_PAGES, *_LISTED) and (found := verdict(_content(file), traces)):
        if file.suffix in _PAGES and found == "holds it":
            file.unlink()
            yield f"  removed page     {file}; `instructmining report` writes it anew"
        else:
            yield f"  NOT erased: {file} {found}; delete it and make it anew"


def _erase_artifacts(run: Any, traces: Sequence[Trace]) -> Iterator[str]:
    for repository, artifact in _artifacts(run):
        found = verdict(_content(Path(repository.download_artifacts(artifact.path))), traces)
        name = f"artifact {artifact.path} of run {run.info.run_id}"
        if found == "holds it":
            repository.delete_artifacts(artifact.path)
            yield f"  deleted {name}"
        elif found:
            yield f"  NOT erased: {name} {found}"


def _recorded(runs: Sequence[Any], store: str) -> list[str]:
    """What the runs on this store wrote; a relative path is taken from the current folder."""
    params = [run.data.params for run in runs if "store" in run.data.params]
    names = [
        each.get(key, "None")
        for each in params
        if _place(each["store"]) == _place(store)
        for key in _RECORDED
    ]
    return [name for name in dict.fromkeys(names) if name not in ("None", "")]


def _place(store: str) -> str:
    return shown(absolute(store)).rstrip("/")


def _runs(tracking: Tracking) -> Iterator[Any]:
    with connection(tracking) as client:
        name = tracking.experiment
        names = (name, f"/Shared/{name}") if tracking.uri.startswith("databricks") else (name,)
        found = [client.get_experiment_by_name(each) for each in names]
        ids = [each.experiment_id for each in found if each is not None]
        token: str | None = ""
        while ids and token is not None:
            page = client.search_runs(ids, page_token=token or None, max_results=1000)
            yield from page
            token = page.token or None


def _artifacts(run: Any) -> Iterator[tuple[Any, Any]]:
    """Files of a run of a kind that can hold texts."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(run.info.artifact_uri)
    folders: list[str | None] = [None]
    while folders:
        for each in repository.list_artifacts(folders.pop()):
            if each.is_dir:
                folders.append(each.path)
            elif each.path.endswith((*_LINES, *_PAGES, *_LISTED)) and each.file_size < _LARGEST:
                yield repository, each


def _without_lines(file: Path, ids: set[str], traces: Sequence[Trace]) -> tuple[int, int]:
    """Write the file anew without these examples: lines removed, and lines left that may hold one.

    A layout of the user's own (`--columns`) is not known here: of such a line the texts tell.
    """
    opened: Any = gzip.open if file.suffix == ".gz" else open
    kept = file.with_name(f".{file.name}.part")
    removed = 0
    left = 0
    with opened(file, "rb") as source, opened(kept, "wb") as target:
        for line in source:
            text = line.decode("utf-8", "replace")
            known = _ids_of(line)
            if known & ids if known else any(trace.fills(text) for trace in traces):
                removed += 1
            else:
                left += bool(verdict(text, traces))
                target.write(line)
    if removed:
        os.replace(kept, file)
    with suppress(FileNotFoundError):
        kept.unlink()
    return removed, left


def _ids_of(line: bytes) -> set[str]:
    """The examples of a record, its layout detected; none of a blank or unusable line."""
    record = {
        "source": "",
        "position": 0,
        "raw": line,
        "reason": None,
        "detail": None,
        "records": 1,
    }
    rows = standard_rows(record, _DETECTED) if line.strip() else []
    return {row["example_id"] for row in rows if row.get("example_id")}


def _content(file: Path) -> str:
    """The text of a small file; nothing of one that is too large or no text."""
    if file.stat().st_size > _LARGEST:
        return ""
    opened: Any = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8", errors="replace") as source:
        return str(source.read())

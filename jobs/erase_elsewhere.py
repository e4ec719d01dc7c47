"""What holds texts beside the tables: index files, exported subsets, reports, MLflow artifacts."""

import gzip
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from instructmining.settings import Read, Settings, Tracking
from instructmining.standard import standard_rows
from instructmining.traces import Trace, held
from instructmining.tracking import connection

_LINES = (".jsonl", ".jsonl.gz")
_PAGES = (".html",)
_LISTED = (".json", ".csv", ".tsv", ".parquet", ".txt")
_LARGEST = 256 << 20  # bytes of an artifact that is looked into
_RECORDED = ("export.to", "report.to")  # parameters of our runs that name files


def known_files(settings: Settings) -> list[Path]:
    """Files under `--files`, those named by `--export`, and those that MLflow knows of our runs."""
    places = [Path(each) for each in settings.erase.exports]
    places += [Path(settings.files)] if settings.files else []
    places += [Path(each) for each in _recorded(settings)]
    found: dict[Path, None] = {}
    for place in places:
        inside = sorted(place.rglob("*")) if place.is_dir() else [place]
        found |= dict.fromkeys(each.absolute() for each in inside if each.is_file())
    return list(found)


def exported_tables(settings: Settings) -> list[str]:
    """Tables that subsets were exported to: they are the user's, and only named."""
    names = dict.fromkeys(name for name in _recorded(settings) if name.startswith("table:"))
    return [f"  NOT erased: {name} was exported to and may hold it" for name in names]


def erase_files(
    settings: Settings, files: Iterable[Path], ids: Sequence[str], traces: Sequence[Trace]
) -> list[str]:
    """Remove lines of exported JSON lines, whole pages, and every index file; what was done."""
    lines, index = [], Path(settings.files or "") / "index"
    for file in files:
        if settings.files and file.is_relative_to(index.absolute()):
            file.unlink()
            lines.append(f"  removed index    {file}")
        elif file.name.endswith(_LINES):
            removed = _without_lines(file, set(ids))
            lines += [f"  {removed:,} lines removed from {file}"] if removed else []
        elif file.suffix in _PAGES and held(_content(file), traces):
            file.unlink()
            lines.append(f"  removed page     {file}; `instructmining report` writes it anew")
        elif file.suffix in _LISTED and (file.suffix == ".parquet" or held(_content(file), traces)):
            why = "may hold it" if file.suffix == ".parquet" else "holds it"
            lines.append(f"  NOT erased: {file} {why}; delete it and select anew")
    return lines


def erase_artifacts(tracking: Tracking, traces: Sequence[Trace]) -> list[str]:
    """Delete the MLflow artifacts of our experiment that hold an erased example."""
    if tracking.uri == "none":
        return []
    lines = []
    for run in _runs(tracking):
        for repository, artifact in _artifacts(run):
            file = Path(repository.download_artifacts(artifact.path))
            if held(_content(file), traces):
                repository.delete_artifacts(artifact.path)
                lines.append(f"  deleted artifact {artifact.path} of run {run.info.run_id}")
    return lines


def _recorded(settings: Settings) -> Iterator[str]:
    if settings.tracking.uri == "none":
        return
    for run in _runs(settings.tracking):
        params = run.data.params
        if params.get("store") == settings.store:
            named = (params.get(key, "None") for key in _RECORDED)
            yield from (name for name in named if name not in ("None", "") and "://" not in name)


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


def _without_lines(file: Path, ids: set[str]) -> int:
    """Write the file anew without the records of these examples; how many there were."""
    opened: Any = gzip.open if file.suffix == ".gz" else open
    options, kept, removed = Read().model_dump(), file.with_name(f".{file.name}.part"), 0
    with opened(file, "rb") as source, opened(kept, "wb") as target:
        for line in source:
            record = {"source": str(file), "position": 0, "raw": line, "reason": None,
                      "detail": None, "records": 1}  # fmt: skip
            rows = standard_rows(record, options) if line.strip() else []
            if any(row.get("example_id") in ids for row in rows):
                removed += 1
            else:
                target.write(line)
    if removed:
        os.replace(kept, file)
    with suppress(FileNotFoundError):
        kept.unlink()
    return removed


def _content(file: Path) -> str:
    """The text of a small file; nothing of one that is too large or no text."""
    if file.stat().st_size > _LARGEST:
        return ""
    opened: Any = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8", errors="replace") as source:
        return str(source.read())

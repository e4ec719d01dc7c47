"""What holds texts beside the tables: index files, exported subsets, reports, MLflow artifacts.

Index files under `--files` are the store's own: `score` writes them again. Everything else is
outside the store: it is listed, and deleted only with `--delete-elsewhere`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from instructmining.erasing.traces import Trace
from instructmining.errors import UserError
from instructmining.selecting.export_target import exported_files
from instructmining.settings.sections import Tracking
from instructmining.spark.paths import absolute
from jobs.stored.erase_artifacts import findings_in_artifacts, runs_of, written_by
from jobs.stored.erase_files import findings_in_file
from jobs.stored.erase_finding import Finding, settled


@dataclass(frozen=True)
class Places:
    """Where copies of an example may be, beside the tables.

    Attributes:
        store: as the commands name it; runs that MLflow knows under that name wrote copies.
        files: the folder of the index, None where there is none.
        exports: files and folders that the user names.
        tracking: where MLflow is.
    """

    store: str
    files: str | None
    exports: Sequence[str]
    tracking: Tracking


@dataclass(frozen=True)
class Elsewhere:
    """What was found beside the tables, before anything is changed."""

    index: list[Path]
    findings: list[Finding]
    notes: list[str]  # lines about places that are only named


def look_elsewhere(places: Places, ids: Sequence[str], traces: Sequence[Trace]) -> Elsewhere:
    """Look into files under `--files`, those of `--export`, and what MLflow knows of our runs.

    It changes nothing: whatever cannot be read fails before anything is erased.

    Raises:
        UserError: what `--export` names does not exist; MLflow cannot be reached.
    """
    searched = [Path(name) for name in places.exports]
    if absent := [path for path in searched if not path.exists()]:
        raise UserError(f"--export {absent[0]}: there is no such file or folder")
    searched += [Path(places.files)] if places.files else []
    runs = runs_of(places.tracking)
    notes = []
    for name in written_by(runs, places.store):
        if name.startswith("table:") or "://" in name:  # the user's own, and only named
            notes.append(f"  NOT deleted (may hold it): {name}, which a run wrote")
        elif files := exported_files(Path(absolute(name))):
            searched += files
        else:
            notes.append(
                f"  not found: {absolute(name)}, which a run wrote; where it was moved, "
                "name it with --export"
            )
    folder = (Path(places.files) / "index").absolute() if places.files else None
    files = list(dict.fromkeys(_files(searched)))
    index = [file for file in files if folder and file.is_relative_to(folder)]
    findings = [
        finding
        for file in files
        if file not in index
        for finding in findings_in_file(file, set(ids), traces)
    ]
    findings += findings_in_artifacts(places.tracking, runs, traces)
    return Elsewhere(index, findings, notes)


def erase_elsewhere(elsewhere: Elsewhere, delete: bool) -> list[str]:
    """Remove the index files; list, or delete, what holds an example outside the store.

    Returns:
        Lines that say what was deleted, and what was not.
    """
    lines = []
    for file in elsewhere.index:
        file.unlink()
        lines.append(f"  removed index    {file}")
    return [*lines, *settled(elsewhere.findings, delete), *elsewhere.notes]


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file.absolute() for file in inside if file.is_file())

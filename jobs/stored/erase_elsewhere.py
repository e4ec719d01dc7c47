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
from instructmining.settings.sections import Settings
from instructmining.spark.paths import absolute
from jobs.stored.erase_artifacts import findings_in_artifacts, runs_of, written_by
from jobs.stored.erase_files import findings_in_file
from jobs.stored.erase_finding import Finding, settled


@dataclass(frozen=True)
class Elsewhere:
    """What was found beside the tables, before anything is changed."""

    index: list[Path]
    findings: list[Finding]
    notes: list[str]  # lines about places that are only named


def look_elsewhere(settings: Settings, ids: Sequence[str], traces: Sequence[Trace]) -> Elsewhere:
    """Look into files under `--files`, those of `--export`, and what MLflow knows of our runs.

    It changes nothing: whatever cannot be read fails before anything is erased.

    Raises:
        UserError: what `--export` names does not exist; MLflow cannot be reached.
    """
    places = [Path(name) for name in settings.erase.exports]
    if absent := [place for place in places if not place.exists()]:
        raise UserError(f"--export {absent[0]}: there is no such file or folder")
    places += [Path(settings.files)] if settings.files else []
    runs = runs_of(settings.tracking)
    notes = []
    for name in written_by(runs, settings.store):
        if name.startswith("table:") or "://" in name:  # the user's own, and only named
            notes.append(f"  NOT deleted (may hold it): {name}, which a run wrote")
        elif files := exported_files(Path(absolute(name))):
            places += files
        else:
            notes.append(
                f"  not found: {absolute(name)}, which a run wrote; where it was moved, "
                "name it with --export"
            )
    folder = (Path(settings.files) / "index").absolute() if settings.files else None
    files = list(dict.fromkeys(_files(places)))
    index = [file for file in files if folder and file.is_relative_to(folder)]
    findings = [
        finding
        for file in files
        if file not in index
        for finding in findings_in_file(file, set(ids), traces)
    ]
    findings += findings_in_artifacts(settings.tracking, runs, traces)
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


def _files(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        inside = sorted(place.rglob("*")) if place.is_dir() else [place]
        yield from (file.absolute() for file in inside if file.is_file())

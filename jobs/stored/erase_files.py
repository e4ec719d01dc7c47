"""Erased examples in files outside the store: lines of exports, report pages, other files."""

import gzip
import json
import os
import shlex
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow.parquet import ParquetFile

from instructmining.erasing.traces import HOLDS, MAY_HOLD, Trace, verdict
from instructmining.layouts.standard_form import standard_rows
from instructmining.settings.sections import Read
from jobs.stored.erase_finding import Finding

LINES = (".jsonl", ".jsonl.gz")
PAGES = (".html",)
OTHERS = (".json", ".csv", ".tsv", ".txt")

_PARQUET = (".parquet",)
_ROWS = 1024  # at a time
_LARGEST = 256 << 20  # bytes of a file that is looked into as a whole
_DETECTED = Read().model_dump()


def findings_in_file(file: Path, ids: set[str], traces: Sequence[Trace]) -> Iterator[Finding]:
    """Where a file holds, or may hold, an example; nothing where none is seen."""
    if file.name.endswith(LINES):
        yield from _findings_in_lines(file, ids, traces)
    elif file.suffix in PAGES and (seen := verdict(content(file), traces)):
        yield Finding(str(file), seen, _remove(file), partial(os.unlink, file))
    elif file.suffix in (*OTHERS, *_PARQUET) and (seen := _verdict_of_rows(file, traces)):
        yield Finding(f"{file} as a whole", seen, _remove(file), None)


def _verdict_of_rows(file: Path, traces: Sequence[Trace]) -> str:
    if file.suffix not in _PARQUET:
        return verdict(content(file), traces)
    try:
        verdicts = {
            verdict(json.dumps(row, ensure_ascii=False, default=str), traces)
            for batch in ParquetFile(file).iter_batches(_ROWS)
            for row in batch.to_pylist()
        }
    except (OSError, pa.ArrowException):  # damaged: nobody can say what it holds
        return MAY_HOLD
    return HOLDS if HOLDS in verdicts else max(verdicts, default="")


def content(file: Path) -> str:
    """The text of a file; nothing of one that is too large."""
    if file.stat().st_size > _LARGEST:
        return ""
    opened: Any = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8", errors="replace") as source:
        return str(source.read())


def _findings_in_lines(file: Path, ids: set[str], traces: Sequence[Trace]) -> Iterator[Finding]:
    """A record of a known layout is known by its id, one named with `--columns` by its texts.

    A line of another example that has all the texts, a longer conversation, only may hold it.
    """
    numbers: dict[str, list[int]] = {HOLDS: [], MAY_HOLD: []}
    opened: Any = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rb") as source:
        for number, line in enumerate(source, start=1):
            known = _ids_of(line)
            seen = HOLDS if known & ids else verdict(line.decode("utf-8", "replace"), traces)
            if seen:
                numbers[MAY_HOLD if known and not known & ids else seen].append(number)
    for seen, of_lines in numbers.items():
        if of_lines:
            name = f"{len(of_lines):,} line{'s' * (len(of_lines) > 1)} of {file}"
            delete = partial(_delete_lines, file, set(of_lines))
            yield Finding(name, seen, _delete_lines_command(file, of_lines), delete)


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


def _delete_lines(file: Path, numbers: Collection[int]) -> None:
    opened: Any = gzip.open if file.suffix == ".gz" else open
    remaining = file.with_name(f".{file.name}.part")
    try:
        with opened(file, "rb") as source, opened(remaining, "wb") as target:
            lines = enumerate(source, start=1)
            target.writelines(line for number, line in lines if number not in numbers)
        os.replace(remaining, file)
    finally:
        remaining.unlink(missing_ok=True)


def _delete_lines_command(file: Path, numbers: Sequence[int]) -> str:
    name, new_name = shlex.quote(str(file)), shlex.quote(f"{file}.new")
    delete = f"sed '{';'.join(f'{number}d' for number in numbers)}'"
    if file.suffix == ".gz":
        return f"gzip -dc {name} | {delete} | gzip > {new_name} && mv {new_name} {name}"
    return f"{delete} {name} > {new_name} && mv {new_name} {name}"


def _remove(file: Path) -> str:
    return f"rm -- {shlex.quote(str(file))}"

"""What `score` would read from local files, from their first records and without Spark."""

import io
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from instructmining.errors import UserError
from instructmining.hub.cached import is_hub_name
from instructmining.layouts.detection import TREE_ROW
from instructmining.layouts.records import as_text
from instructmining.layouts.standard_form import parsed_record, standard_rows
from instructmining.layouts.turn_lists import parsed
from instructmining.layouts.unread import Example, texts
from instructmining.reading.folders import File, Input, inputs_of
from instructmining.reading.inputs import hub_inputs, place_of, refuse_large, refuse_unknown
from instructmining.reading.sniffing import BY_SPARK, KNOWN, Kind
from instructmining.reading.splitting import RawRecord, split
from instructmining.reading.trees import Row, joined
from instructmining.settings.sections import Read
from instructmining.spark.paths import fixed_part, shown
from instructmining.turns.structure import beside_turns

SAMPLED = 200  # records that are looked at
_SECONDS = 1.0  # and no longer than this for one file
_COUNTED = 1 << 20  # bytes that are read; the records of a larger file are estimated
_ROLES = {"system": "system", "user": "prompt", "assistant": "response", "tool": "tool"}


@dataclass
class Preview:
    """One file, as its first records show it."""

    path: str
    container: str
    rows: int | None = None  # records of it; None: not known without reading it
    exact: bool = True  # they were counted
    half: str | None = None  # `questions` or `answers` of MT-Bench, which a run joins
    sampled: int = 0  # records that were looked at
    layouts: Counter[str] = field(default_factory=Counter)
    fields: dict[str, Counter[str]] = field(default_factory=dict)  # role to fields, with records
    unread: dict[str, str] = field(default_factory=dict)  # field to an instance
    unread_rows: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)  # reason to rows
    details: dict[str, str] = field(default_factory=dict)  # reason to the first sentence
    examples: list[list[dict[str, Any]]] = field(default_factory=list)  # the first three


def previews(names: Sequence[str], read: Read) -> tuple[list[Preview], list[Path]]:
    """A preview of each local file, and the files that are left out as of no known kind.

    Raises:
        UserError: a name leads to no file, or to none of a known kind.
    """
    places: dict[str, Input] = {}
    for data in (data for name in names for data in _inputs(name)):
        places.setdefault(place_of(data.path), data)
    known = [data for data in places.values() if data.kind.is_data]
    if not known:
        raise UserError(f"no file of a known kind in {', '.join(names)}: {KNOWN}")
    for data in known:
        refuse_large(data)
    pages = [preview(Path(shown(data.path)), data.kind, read) for data in known]
    left_out = [data for data in places.values() if not data.kind.is_data]
    return pages, [Path(shown(data.path)) for data in left_out]


def _inputs(name: str) -> list[Input]:
    """The files of a name as `score` takes them: of a cache of the hub each once, in one revision.

    Raises:
        UserError: there are none, or what is there cannot be read as files.
    """
    if is_hub_name(name):
        return hub_inputs(name)
    files = [File(f"file:{path.absolute()}", path.stat().st_size) for path in local_files(name)]
    path = str(_path(name).absolute())
    root = path if Path(path).exists() else fixed_part(path)
    inputs = inputs_of(None, f"file:{root}", files)
    if len(inputs) == 1:
        refuse_unknown(inputs[0])
    return inputs


def local_files(name: str) -> list[Path]:
    """The files that a name, folder or glob leads to, hidden ones left out.

    Raises:
        UserError: there are none.
    """
    path = _path(name)
    if path.is_file():
        return [path]
    roots = [path] if path.is_dir() else _matches(path)
    paths = [place for root in roots for place in ([root] if root.is_file() else root.rglob("*"))]
    files = [place for place in paths if place.is_file() and not _is_hidden(place, roots)]
    if not files:
        raise UserError(f"--input {name}: there is no such file or folder, or no file in it")
    return sorted(files)


def is_local(name: str) -> bool:
    """Whether a name can be previewed without Spark: no table, no other file system, no ORC."""
    if name.startswith("table:") or "://" in name.replace("file://", ""):
        return False
    path = _path(name)
    roots = [path] if path.is_dir() else _matches(path)
    if any(log.is_dir() for root in roots for log in root.rglob("_delta_log")):
        return False
    return not any(data.container in BY_SPARK for data in _inputs(name))


def _path(name: str) -> Path:
    return Path(name.removeprefix("path:").removeprefix("file://")).expanduser()


def preview(path: Path, kind: Kind, read: Read) -> Preview:
    """What the first records of a file become."""
    facts = Preview(str(path), kind.container, half=kind.half)
    try:
        with path.open("rb") as file:
            if kind.container == "parquet":
                records = list(islice(split(file, kind), SAMPLED))
                facts.rows = pq.read_metadata(path).num_rows
            else:
                records = _first_and_count(file, kind, facts)
    except (OSError, ValueError, pa.ArrowException) as error:
        detail = (str(error).splitlines() or [type(error).__name__])[0][:200]
        records = [RawRecord(0, b"", "unreadable_file", detail)]
    return preview_of(facts, records, read)


def preview_of(facts: Preview, records: Sequence[RawRecord], read: Read) -> Preview:
    """The preview with what its first records become."""
    facts.sampled = len(records)
    options = read.model_dump()
    rows = [{"source": facts.path, "records": 1, **raw._asdict()} for raw in records]
    for record in _with_trees(rows, options):
        _look(facts, record, options)
    return facts


def _look(facts: Preview, record: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Add one record to what is known of its file."""
    rows = standard_rows(record, options)
    usable = [row for row in rows if row.get("reason") is None]
    for row in rows:
        if row.get("reason") is not None:
            facts.refused[row["reason"]] += 1
            facts.details.setdefault(row["reason"], row["detail"])
    if not usable:
        return
    facts.layouts[usable[0]["format"]] += 1
    for name, text in usable[0]["unread"]:
        facts.unread.setdefault(name, text)
        facts.unread_rows[name] += 1
    for role, names in _roles(parsed_record(record["raw"]), usable).items():
        facts.fields.setdefault(role, Counter()).update(names)
    facts.examples += [row["messages"] for row in usable][: 3 - len(facts.examples)]


def _roles(record: Any, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Which fields became what: role to names."""
    beside = [value for row in rows for name, value in row["kept"] if value and name != "part"]
    beside += [text for _, _, text in texts(beside_turns(record))]
    example = Example([row["messages"] for row in rows], beside)
    roles: dict[str, list[str]] = {}
    waiting = [(record, "")]
    while waiting:
        value, above = waiting.pop()
        for name, key, text in texts(value, above):
            role = example.place_of(key, text)
            inner = parsed(text) if role is None else text
            if isinstance(inner, (dict, list)):  # a cell of JSON
                waiting.append((inner, name))
                continue
            if role is None and example.tells(text):
                role = "transcript"
            if role is not None and role != "speaker":
                roles.setdefault(_ROLES.get(role, role), []).append(name)
    if isinstance(record, dict) and "response" not in roles:
        said = {row["response"] for row in rows}
        numbers = [name for name, value in record.items() if _number(value) in said]
        roles |= {"response": numbers} if numbers else {}
    return {role: list(dict.fromkeys(names)) for role, names in roles.items()}


def _number(value: Any) -> str | None:
    return as_text(value) if isinstance(value, (int, float)) else None


def _with_trees(records: list[dict[str, Any]], options: Mapping[str, Any]) -> Iterator[Any]:
    """The records, those that are messages of a tree joined."""
    messages: dict[Any, list[Row]] = {}
    for record in records:
        [first, *_] = standard_rows(record, options)
        if first.get("reason") == TREE_ROW:
            tree = json.loads(first["raw"]).get("message_tree_id")
            messages.setdefault(tree, []).append(
                Row(record["source"], record["position"], first["raw"])
            )
        else:
            yield record
    for rows in messages.values():
        yield from joined(rows)


def _first_and_count(file: BinaryIO, kind: Kind, facts: Preview) -> list[RawRecord]:
    """The first records of a file; how many there are is counted or estimated into `found`.

    Of a large file only the first bytes are read, and the record in which they end is left out.
    """
    size = os.fstat(file.fileno()).st_size
    piece = file if size <= _COUNTED else io.BytesIO(file.read(_COUNTED))
    until = time.monotonic() + _SECONDS
    records: list[RawRecord] = []
    count, ended = 0, True
    for record in split(piece, kind, path=facts.path):
        count += 1
        if count <= SAMPLED:
            records.append(record)
        if time.monotonic() > until:
            ended = False
            break
    facts.rows, facts.exact = count, ended and piece is file
    if piece is file or not ended:
        return records
    cut = 2 if kind.compression else 1  # the record, and what says that the stream breaks off
    facts.rows = round(max(count - cut, 1) * size / _COUNTED)
    return records if count > SAMPLED else records[: max(count - cut, 0)]


def _matches(path: Path) -> list[Path]:
    root = Path(path.anchor or ".")
    pattern = str(path.relative_to(path.anchor) if path.anchor else path)
    return sorted(root.glob(pattern))


def _is_hidden(path: Path, roots: Iterable[Path]) -> bool:
    """Whether Spark would leave the file out: a name below the root begins with `_` or `.`.

    But for folders that are a column, as in `_year=2024`.
    """
    root = next(part for part in roots if path == part or part in path.parents)
    inside = path.relative_to(root).parts or (path.name,)
    return any(part[0] == "." or (part[0] == "_" and "=" not in part) for part in inside)

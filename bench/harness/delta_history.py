"""A long history of a Delta table in seconds: commits that are copied file by file.

A copy is a version like any other: a file of the log whose `add` names a Parquet file of its own,
the checksum of the version, and beside each file what Hadoop writes there on a local disk. Where
the commit replaces rows, `remove` names the files that the commit of the same condition before it
added. Delta reads, continues, compacts and vacuums such a history as one that it wrote itself. Only
checkpoints are left to the commits of Delta between the copies.
"""

import json
import os
import shutil
import struct
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

_LOG = "_delta_log"
_DAY = 86_400  # seconds
_SUMMED = 512  # bytes under one sum of Hadoop's

File = dict[str, Any]  # as an `add` of the log has it


class _Commit(NamedTuple):
    """A commit of rows that Delta made: what it says of itself, and the files that it added."""

    info: dict[str, Any]
    added: list[File]

    @property
    def condition(self) -> str | None:
        """Of the rows that it replaced; None where it appended."""
        condition: str | None = self.info["operationParameters"].get("predicate")
        return condition


@dataclass
class History:
    """The commits of a table, to be continued by copies.

    Attributes:
        table: its folder on this machine, as the product has written it.
        last: the version that it will have today.
        days: over which its versions are spread, also those that Delta has made.
    """

    table: Path
    last: int
    days: float = 0.0
    _version: int = field(default=-1, init=False)  # that was read or written last
    _made: list[_Commit] = field(default_factory=list, init=False)
    _live: dict[str, list[File]] = field(default_factory=dict, init=False)  # by condition

    def copy(self, count: int) -> None:
        """Add that many versions: copies of the commits of rows that Delta made, in turn.

        Raises:
            ValueError: the table has no commit that wrote rows.
        """
        self._follow()
        if not self._made:
            raise ValueError(f"{self.table} has no commit that could be copied")
        checksum = json.loads(self._log_file("crc").read_text(encoding="utf-8"))
        # What a checksum may lack, and what copies would have to count on.
        state = {key: checksum[key] for key in checksum.keys() - {"allFiles", "fileSizeHistogram"}}
        for commit in islice(cycle(self._made), count):
            state |= self._write(commit, state)

    def _follow(self) -> None:
        """Read the versions that Delta has made meanwhile, and give them their time."""
        while self._log_file("json", self._version + 1).exists():
            self._version += 1
            text = self._log_file("json").read_text(encoding="utf-8")
            actions = [json.loads(line) for line in text.splitlines()]
            [info] = [action["commitInfo"] for action in actions if "commitInfo" in action]
            commit = _Commit(info, [action["add"] for action in actions if "add" in action])
            log = [self._log_file(ending) for ending in ("json", "crc", "checkpoint.parquet")]
            for file in [*log, *(self.table / file["path"] for file in commit.added)]:
                self._date(file)
            if info["operation"] == "WRITE":
                self._made.append(commit)
                self._take_place(commit.condition, commit.added)

    def _write(self, commit: _Commit, state: dict[str, Any]) -> dict[str, Any]:
        """Write one version more; what its checksum says other than that of the version before."""
        own = {"txnId": str(uuid4()), "readVersion": self._version}
        self._version += 1
        now = int(self._seconds() * 1000)
        added = [self._copied(file) | {"modificationTime": now} for file in commit.added]
        removed = self._take_place(commit.condition, added)
        actions = [
            {"commitInfo": commit.info | own | {"timestamp": now}},
            *({"add": file} for file in added),
            *({"remove": _removal(file, now)} for file in removed),
        ]
        changed = {
            "txnId": own["txnId"],
            "numFiles": state["numFiles"] + len(added) - len(removed),
            "tableSizeBytes": state["tableSizeBytes"] + _bytes(added) - _bytes(removed),
        }
        self._save("json", "".join(f"{_line(action)}\n" for action in actions))
        self._save("crc", _line(state | changed))
        return changed

    def _save(self, ending: str, text: str) -> None:
        """A file of the log, and the sums that Hadoop keeps beside it on a local disk."""
        content = text.encode()
        parts = (content[start : start + _SUMMED] for start in range(0, len(content), _SUMMED))
        sums = b"".join(struct.pack(">I", zlib.crc32(part)) for part in parts)
        file = self._log_file(ending)
        file.write_bytes(content)
        _sums_of(file).write_bytes(b"crc\0" + struct.pack(">i", _SUMMED) + sums)
        self._date(file)

    def _copied(self, file: File) -> File:
        """A file of the same rows under a name of its own."""
        source = self.table / file["path"]
        copy = self.table / f"part-00000-{uuid4()}-c000.snappy.parquet"
        shutil.copyfile(source, copy)
        shutil.copyfile(_sums_of(source), _sums_of(copy))
        self._date(copy)
        return file | {"path": copy.name}

    def _take_place(self, condition: str | None, added: list[File]) -> list[File]:
        """The files that a commit replaces; its own are what the next one of its kind replaces."""
        if condition is None:
            return []
        before = self._live.get(condition, [])
        self._live[condition] = added
        return before

    def _date(self, file: Path) -> None:
        """Let the file, if it is there, be as old as the version."""
        with suppress(FileNotFoundError):
            os.utime(file, (self._seconds(), self._seconds()))

    def _seconds(self) -> float:
        """When the version was made, by the clock of Unix."""
        return time.time() - (self.last - self._version) / self.last * self.days * _DAY

    def _log_file(self, ending: str, version: int | None = None) -> Path:
        number = self._version if version is None else version
        return self.table / _LOG / f"{number:020}.{ending}"


def _removal(file: File, now: int) -> dict[str, Any]:
    same = {name: file[name] for name in ("path", "partitionValues", "size")}
    return same | {"deletionTimestamp": now, "dataChange": True, "extendedFileMetadata": True}


def _bytes(files: Sequence[File]) -> int:
    return sum(file["size"] for file in files)


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _sums_of(file: Path) -> Path:
    return file.with_name(f".{file.name}.crc")

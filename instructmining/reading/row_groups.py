"""A damaged Parquet file, row group by row group: what can be read is kept, the rest is said.

Spark reads a file to its end or fails; this is for the file on which it failed.
"""

import json
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from instructmining.reading.splitting import RawRecord

_DAMAGE = (OSError, ValueError, pa.ArrowException)


def rows_of_groups(file: BinaryIO) -> Iterator[RawRecord]:
    """The rows as ordered-column JSON; one record with a reason for each group that is lost."""
    try:
        parquet = pq.ParquetFile(file)
    except _DAMAGE as error:
        yield RawRecord(0, b"", "unreadable_file", _line(error))
        return
    before = 0
    groups = parquet.num_row_groups
    for group in range(groups):
        count = parquet.metadata.row_group(group).num_rows
        try:
            rows = parquet.read_row_group(group).to_pylist()
        except _DAMAGE as error:
            yield RawRecord(
                before + 1,
                b"",
                "damaged_file",
                f"row group {group + 1} of {groups}, "
                f"{count:,} rows, cannot be read: {_line(error)}",
            )
        else:
            for position, row in enumerate(rows, start=before + 1):
                text = json.dumps(row, ensure_ascii=False, default=str)
                yield RawRecord(position, text.encode("utf-8", "surrogatepass"))
        before += count


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

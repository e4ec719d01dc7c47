"""Rows of a CSV file with the text they came from; a malformed row costs one line, not the rest."""

import csv
import io
from collections.abc import Iterator

from instructmining.reading.sniffing import delimiter

_LONGEST_CELL = 1 << 24  # characters: a quote that is never closed swallows no more


class CsvRows:
    """Iterates over (cells, the text they came from, what is wrong with it or None)."""

    def __init__(self, text: io.TextIOWrapper):
        csv.field_size_limit(_LONGEST_CELL)
        self._text = text
        self._waiting: list[str] = []  # lines after a malformed one, to be read again; last first
        self._consumed: list[str] = []
        self._delimiter = ","

    def header(self) -> list[str]:
        """The names of the columns, each once; call it first."""
        first = self._text.readline()
        self._waiting.append(first)
        self._delimiter = delimiter(first)
        cells, _, _ = next(iter(self), ([], "", None))
        names: list[str] = []
        for number, cell in enumerate(cells, start=1):
            name = cell.strip() or f"column {number}"
            names.append(name if name not in names else f"{name} (column {number})")
        return names

    def __iter__(self) -> Iterator[tuple[list[str], str, str | None]]:
        reader = self._reader()
        while True:
            self._consumed = []
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                first, *rest = self._consumed
                self._waiting += reversed(rest)
                reader = self._reader()
                yield [], first, f"not CSV: {error}"
                continue
            if any(cells):
                yield cells, "".join(self._consumed), None

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(self._lines(), delimiter=self._delimiter, strict=True)

    def _lines(self) -> Iterator[str]:
        while line := self._waiting.pop() if self._waiting else self._text.readline():
            self._consumed.append(line)
            yield line

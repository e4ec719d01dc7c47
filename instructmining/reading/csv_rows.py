"""Rows of a CSV file with the text they came from; a malformed row is one row, whatever is in it.

Quotes inside a cell are doubled (RFC 4180) or come after a backslash, as Spark's `DataFrameWriter`
writes them. Which of the two a file means is decided where it first makes a difference.
"""

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal, NamedTuple

from instructmining.reading.sniffing import delimiter, is_csv_header

Escape = Literal["auto", "doubled", "backslash"]

_LONGEST_CELL = 1 << 24  # characters: a quote that is never closed swallows no more
_LONGEST_MALFORMED = 1 << 20  # characters of a malformed row; the next rows are looked for after it
_FAR = 1 << 12  # lines without a quote are rows, not the text of a cell
_EVIDENCE = 1 << 18  # characters in which both ways of quoting are tried
_RUN = 3  # sound rows in a row show that what follows a malformed one is rows again
_ABOVE = 10  # lines in which the header is looked for
_SEPARATOR_LINE = re.compile(r"\ufeff?\"?sep=(.)\"?\s*", re.IGNORECASE)
_PIECE = re.compile(r'\\["\\]|["\\]|[^"\\]+')


class CsvRow(NamedTuple):
    """A row of cells; or the text of what cannot be read, and why."""

    cells: list[str]
    text: str
    problem: str | None = None


class _OtherQuotes(Exception):  # noqa: N818 - a decision, not an error
    """The current row has to be read again, with backslashes before quotes."""


class CsvRows:
    """The rows of a file, with what is wrong with those that are malformed."""

    def __init__(self, text: io.TextIOWrapper, escape: Escape = "auto") -> None:
        csv.field_size_limit(_LONGEST_CELL)
        self._text = text
        self._waiting: deque[str] = deque()  # lines that were read ahead
        self._consumed: list[str] = []  # lines of the current row
        self._decided = escape != "auto"
        self._backslash = escape == "backslash"
        self._delimiter = ","
        self._columns = 0
        self._above: list[str] = []  # lines above the header

    def header(self) -> list[str]:
        """The names of the columns, each once; call it first."""
        first = self._line()
        separator = _SEPARATOR_LINE.fullmatch(first)  # Excel writes it and reads it
        if not separator:
            self._put_back([first])
        lines = list(islice(iter(self._line, ""), _ABOVE))
        start = _start_of_table(lines)
        self._above = [line for line in lines[:start] if line.strip()]
        self._put_back(lines[start:])
        header = "".join(lines[start : start + 1])
        self._delimiter = separator[1] if separator else delimiter(header)
        cells = (self._row() or CsvRow([], "")).cells
        self._columns = len(cells)
        names: list[str] = []
        for number, cell in enumerate(cells, start=1):
            name = cell.strip() or f"column {number}"
            names.append(name if name not in names else f"{name} (column {number})")
        return names

    def __iter__(self) -> Iterator[CsvRow]:
        for line in self._above:
            yield CsvRow([], line, "a line above the header of the table; remove it")
        while row := self._row():
            if row.problem:
                yield self._malformed(row.problem)
            elif any(row.cells):
                yield row

    def _row(self) -> CsvRow | None:
        """The next row, whether it can be read or not; None at the end."""
        self._consumed = []
        try:
            cells = next(self._reader(self._lines(), self._backslash))
        except StopIteration:
            return None
        except csv.Error as error:
            return CsvRow([], "".join(self._consumed), f"not CSV: {error}")
        except _OtherQuotes:
            self._put_back(self._consumed)
            return self._row()
        return CsvRow(cells, "".join(self._consumed))

    def _malformed(self, problem: str) -> CsvRow:
        """The malformed row that was begun, to where rows follow again."""
        line, *ahead = self._consumed
        self._put_back(ahead)
        lines = [line]
        size = len(line)
        is_open = self._quotes(line) % 2 == 1
        while size < _LONGEST_MALFORMED and (count := self._belonging(is_open)):
            for _ in range(count):
                line = self._line()
                lines.append(line)
                size += len(line)
                is_open ^= self._quotes(line) % 2 == 1
        return CsvRow([], "".join(lines), problem)

    def _belonging(self, is_open: bool) -> int:
        """How many of the next lines belong to the malformed row before them; 0: a row begins.

        A row begins where three whole rows follow. Where a quote is open, they may be text of the
        row, which ends at the next quote: a row with quotes has to be whole too.
        """
        lines: list[str] = []
        sound = 0
        has_quotes = not is_open
        while sound < _RUN or not has_quotes:
            row = self._row()
            if row is None:
                self._put_back(lines)
                return 0 if sound >= (1 if has_quotes else _RUN) else len(lines)
            if not self._is_sound(row):
                begins = not sound and self._begins(row, is_open)
                self._put_back([*lines, *self._consumed])
                return 0 if begins else len(lines) + 1
            lines += self._consumed
            sound += any(row.cells)
            has_quotes = has_quotes or '"' in row.text or len(lines) > _FAR
        self._put_back(lines)
        return 0

    def _begins(self, row: CsvRow, is_open: bool) -> bool:
        """Whether a malformed row is one of its own, not the rest of the malformed row before it.

        Its line has all its quotes, or the first of them opens a cell after another.
        """
        if not (row.problem or len(row.cells) > self._columns):
            return False  # its cells could be read as an example
        line = self._consumed[0]
        before = line.partition('"')[0]
        opens = before != line and before.strip(self._delimiter) and before[-1] == self._delimiter
        return bool(opens) or (not is_open and self._quotes(line) % 2 == 0)

    def _is_sound(self, row: CsvRow) -> bool:
        """Whether it is blank, or has the cells of the header and quotes around cells alone."""
        if row.problem:
            return False
        if not any(row.cells):
            return True
        if len(row.cells) != self._columns and self._columns:
            return False
        if '""' in row.text or (self._backslash and '\\"' in row.text):
            return True
        return not any('"' in cell for cell in row.cells)

    def _quotes(self, line: str) -> int:
        return line.count('"') - (line.count('\\"') if self._backslash else 0)

    def _lines(self) -> Iterator[str]:
        while line := self._line():
            self._consumed.append(line)
            if not self._decided and '\\"' in line:
                self._decide()
            yield line

    def _decide(self) -> None:
        """Try both ways of quoting on what follows; the one with fewer malformed rows is right.

        Raises:
            _OtherQuotes: quotes come after backslashes.
        """
        self._decided = True
        ahead: list[str] = []
        size = 0
        while size < _EVIDENCE and (line := self._line()):
            ahead.append(line)
            size += len(line)
        self._put_back(ahead)
        lines = [*self._consumed, *ahead]
        if self._problems(lines, backslash=True) < self._problems(lines, backslash=False):
            self._backslash = True
            raise _OtherQuotes

    def _problems(self, lines: list[str], backslash: bool) -> int:
        problems = 0
        rest = iter(lines)
        while True:
            try:
                for cells in self._reader(rest, backslash):
                    problems += any(cells) and len(cells) != self._columns
                return problems
            except csv.Error:
                problems += 1

    def _reader(self, lines: Iterable[str], backslash: bool) -> Iterator[list[str]]:
        if not backslash:
            return csv.reader(lines, delimiter=self._delimiter, strict=True)
        prepared = _for_python(lines, self._delimiter)
        return csv.reader(prepared, delimiter=self._delimiter, strict=True, escapechar="\\")

    def _line(self) -> str:
        return self._waiting.popleft() if self._waiting else self._text.readline()

    def _put_back(self, lines: list[str]) -> None:
        self._waiting.extendleft(reversed(lines))


def _for_python(lines: Iterable[str], delimiter: str) -> Iterator[str]:
    """The same cells for Python's reader, which takes any sign after a backslash as it is.

    For Spark a backslash escapes a quote and a backslash, in quoted cells alone.
    """
    quoted = False
    for line in lines:
        if "\\" not in line:
            quoted ^= line.count('"') % 2 == 1
            yield line
            continue
        written = []
        before = delimiter
        for piece in _PIECE.findall(line):
            if piece == '"' and (quoted or before in (delimiter, '"')):
                quoted = not quoted
            escape = piece[0] == "\\" and not (quoted and len(piece) == 2)
            written.append(piece.replace("\\", "\\\\") if escape else piece)
            before = piece[-1]
        yield "".join(written)


def _start_of_table(lines: list[str]) -> int:
    """The line of the header: the first, but for blank lines and titles above it."""
    first = next((place for place, line in enumerate(lines) if line.strip()), 0)
    for line in lines[first : first + 1]:
        cells = next(csv.reader([line], delimiter=delimiter(line)))
        if sum(bool(cell.strip()) for cell in cells) > 1:
            return first
    headers = (place for place in range(first, len(lines)) if is_csv_header(lines[place]))
    return next(headers, first)

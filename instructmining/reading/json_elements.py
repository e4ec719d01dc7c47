"""The elements of a JSON array as exact slices of its text, also where some are malformed.

The time is linear in the size of the text, whatever is malformed: no character is looked at more
than a fixed number of times.
"""

import json
import re
import sys
from collections.abc import Iterator

_SEPARATORS = " \t\r\n\f\v" + ",\ufeff"
_DECODER = json.JSONDecoder(strict=False, parse_int=float)  # `int` refuses 5,000 digits
# How a record begins: `{"instruction":`, or `[{"role":` in an array of arrays. The bounds keep a
# failed match from reading far.
_BEGINNING = re.compile(
    r"(?:\n(?P<indent>[ \t]*))?"
    r'(?P<opening>(?:\[\s{0,99})?\{\s{0,99}"(?:[^"\\\n]|\\.){0,99}"\s{0,99}:)'
)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)


class _WithoutLines(str):
    """A text whose lines are not counted.

    A `JSONDecodeError` counts the lines from the start of the text to the error: n errors would
    cost n times the whole text.
    """

    __slots__ = ()

    def count(self, *_: object) -> int:
        """No lines."""
        return 0

    def rfind(self, *_: object) -> int:
        """No line before."""
        return -1


def elements(text: str) -> Iterator[str]:
    """The exact slices of the elements of a JSON array, or of JSON values one after the other.

    Where an element is malformed it is one record up to where the next one begins, so that one bad
    record costs one record.
    """
    begins = _Beginnings()
    end = _skip(text, 0, _SEPARATORS)
    inside = text[end : end + 1] == "["
    end += inside
    while (start := _skip(text, end, _SEPARATORS)) < len(text):
        if text[start] == ("]" if inside else "["):  # the end of an array, or a further one
            inside = not inside
            end = start + 1
            continue
        gap = text[end:start]
        begins.add(text, start)
        try:
            _, end = _DECODER.raw_decode(text, start)
        except ValueError as error:
            reached = getattr(error, "pos", start)
        except RecursionError:
            reached = _too_deep(text, start)
        else:
            yield text[start:end]
            continue
        text = text if isinstance(text, _WithoutLines) else _WithoutLines(text)
        for following in begins.after(text, start, gap, reached):
            element = text[start:following].rstrip(_SEPARATORS)
            yield element
            end = start + len(element)
            start = following


class _Beginnings:
    """Where records begin in a text whose brackets and quotes cannot be trusted."""

    def __init__(self) -> None:
        self._openings: set[str] = set()  # of all elements so far, without their white space
        self._any = False  # whether any object counts, since none of these openings came again

    def add(self, text: str, start: int) -> None:
        """Take note of how an element begins."""
        if begins := _BEGINNING.match(text, start):
            self._openings.add(_plain(begins["opening"]))

    def after(self, text: str, start: int, gap: str, reached: int) -> Iterator[int]:
        """Where the records after the malformed one begin; reading goes on at the last of them.

        Where a bracket is missing the decoder takes the records that follow for a part of this
        one, and gives up far after them, at `reached`. They are cut there and not decoded once
        more: with n such records that would be n times the rest of the text.

        Args:
            text: all of it.
            start: where the malformed record begins.
            gap: what separates it from the record before.
            reached: where the decoder gave up.
        """
        indent = len(gap.rpartition("\n")[2]) if "\n" in gap else None
        inside = [
            candidate.start("opening")
            for candidate in _BEGINNING.finditer(text, start + 1, max(start + 1, reached))
            if self._is_record(candidate, indent)
        ]
        yield from inside or [self._next(text, start, indent)]

    def _next(self, text: str, start: int, indent: int | None) -> int:
        first = None
        for candidate in _BEGINNING.finditer(text, start + 1):
            if self._is_record(candidate, indent):
                return candidate.start("opening")
            first = first or candidate.start("opening")
        self._any = True  # for all that follows: the rest of the text is searched once
        return first or len(text)

    def _is_record(self, candidate: re.Match[str], indent: int | None) -> bool:
        if self._any:
            return True
        on_a_line = candidate["indent"] is not None
        if on_a_line and indent is not None:
            return len(candidate["indent"]) <= indent
        return _plain(candidate["opening"]) in self._openings


def _plain(opening: str) -> str:
    return "".join(opening.split())


def _too_deep(text: str, start: int) -> int:
    """Where the brackets are nested deeper than Python's recursion goes, at the latest."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        depth += (token[0] in "[{") - (token[0] in "]}")
        if depth > sys.getrecursionlimit():
            return token.end()
    return len(text)


def _skip(text: str, at: int, characters: str) -> int:
    while at < len(text) and text[at] in characters:
        at += 1
    return at

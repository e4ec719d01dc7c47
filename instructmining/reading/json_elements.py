"""The elements of a JSON array as exact slices of its text, also where some are malformed."""

import json
import re
from collections.abc import Iterator

_RECOVERY = 1 << 20  # characters searched for the end of a malformed element
_SEPARATORS = " \t\r\n\f\v" + ",\ufeff"
# A text does not span lines here: where a quote is lost, the rest of its line is wrong, not of all.
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|[{}\[\],]', re.DOTALL)
_OBJECT_ON_A_LINE = re.compile(r"\n([ \t]*)(?=\{)")
_OBJECT_AFTER_A_COMMA = re.compile(r",\s*(?=\{)")


def elements(text: str) -> Iterator[str]:
    """The exact slices of the elements of a JSON array, or of JSON values one after the other.

    Where an element is malformed it is one record up to where the next one begins, so that one bad
    record costs one record.
    """
    decoder = json.JSONDecoder(strict=False)
    at = _skip(text, 0, _SEPARATORS)
    inside = text[at : at + 1] == "["
    at += inside
    while (at := _skip(text, at, _SEPARATORS)) < len(text):
        if inside and text[at] == "]":
            inside = False
            at = at + 1
            continue
        if not inside and text[at] == "[":  # a further array in the same file
            inside = True
            at = at + 1
            continue
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = _end_of_malformed(text, at)
        yield text[at:end].rstrip(_SEPARATORS)
        at = end


def _end_of_malformed(text: str, start: int) -> int:
    """Where the next element begins: told by brackets, else by lines, else by commas."""
    end = _closing(text, start)
    if end is not None:
        return end
    indent = start - 1 - text.rfind("\n", 0, start)
    for line in _OBJECT_ON_A_LINE.finditer(text, start):
        if len(line[1]) <= indent:
            return line.end()
    if text.find("\n", start) == -1 and (found := _OBJECT_AFTER_A_COMMA.search(text, start + 1)):
        return found.end()
    return len(text)


def _closing(text: str, start: int) -> int | None:
    """The end of an element whose brackets are balanced, if a new element or the end follows it."""
    opened = ""
    for token in _TOKEN.finditer(text, start, start + _RECOVERY):
        mark = token[0]
        if mark in ("{", "["):
            opened += mark
            continue
        if mark in ("}", "]") and opened:
            if opened[-1] + mark not in ("{}", "[]"):
                return None
            opened = opened[:-1]
            if opened:
                continue
            end = token.end()
        elif mark in (",", "]") and not opened:
            end = token.start()
        else:
            continue
        following = _skip(text, end, _SEPARATORS)
        # A string behind an object: rather the wrong half of one whose quote was never closed.
        expected = ("{", "[", "]", "") if text[start] in "{[" else ("{", "[", "]", '"', "")
        fits = end > start and text[following : following + 1] in expected
        return end if fits else None
    return None


def _skip(text: str, at: int, characters: str) -> int:
    while at < len(text) and text[at] in characters:
        at += 1
    return at

"""The options of a question: lists, objects and columns of them, as lines below the question."""

import re
from collections.abc import Iterable
from typing import Any

from instructmining.layouts.records import OBJECT, Record, Unusable, as_text, first, is_blank

OPTIONS = ("options", "choices")
_LETTERS = "abcdefghij"
# The first of several columns that hold an option each, with what its fellows are called.
_OPENINGS = {
    f"{prefix}{letters[0]}": (prefix, letters)
    for prefix in ("", "option_", "option", "choice_", "choice", "op")
    for letters in (_LETTERS, "123456789")
    if prefix or letters == _LETTERS
}
_LABELLED = re.compile(r"\s*\(?(?:[A-Za-z][).:]|[0-9][).:](?!\d))")
_TEXTS = ("text", "value", "content", "option")
_LABELS = ("label", "key", "id", "letter")


def options_of(record: Record, question: str, answer: Any) -> tuple[list[str], Any]:
    """The lines of the options to choose from, and the answer as their letter where it counts.

    Options are a list, an object or columns `A`, `B`, …; those without a letter get one, and an
    answer that is a number then counts from 0, as in MMLU. A question that has all of the options
    in its text already gets none.
    """
    found = _options(record)
    name = first(record, OPTIONS)
    if name and isinstance(record[name], str):  # as MathQA has them
        text = record[name].strip()
        return [text] if text and text not in question else [], answer
    if len(found) < 2 or all(text in question for _, text in found):
        return [], answer
    if _counts_from_zero(answer, found):
        answer = _LETTERS[answer].upper()
    if all(not label and _LABELLED.match(text) for label, text in found):
        return [text for _, text in found], answer
    lines = [f"{label or _LETTERS[i].upper()}) {text}" for i, (label, text) in enumerate(found)]
    return lines, answer


def _counts_from_zero(answer: Any, options: list[tuple[str, str]]) -> bool:
    if not isinstance(answer, int) or isinstance(answer, bool):
        return False
    if any(label or _LABELLED.match(text) for label, text in options):
        return False
    if str(answer) in [text for _, text in options]:
        return False
    return 0 <= answer < len(options)


def _options(record: Record) -> list[tuple[str, str]]:
    """Label and text of each option; the label is empty where the text stands alone."""
    name = first(record, OPTIONS)
    if name is None:
        return _columns(record)
    value = record[name]
    if isinstance(value, OBJECT):
        lists = _lower(value)
        if isinstance(lists.get("text"), list):
            labels = lists.get("label")
            labels = labels if isinstance(labels, list) else [""] * len(lists["text"])
            return _texts(zip(labels, lists["text"], strict=False))
        return _texts(value.items())
    if not isinstance(value, list):
        return []
    return _texts(_labelled(each) for each in value[: len(_LETTERS)])


def _labelled(option: Any) -> tuple[Any, Any]:
    if not isinstance(option, OBJECT):
        return "", option
    label = first(option, _LABELS)
    text = first(option, _TEXTS)
    return option[label] if label else "", option[text] if text else None


def _lower(value: Record) -> Record:
    return {name.lower(): inner for name, inner in value.items()}


def _columns(record: Record) -> list[tuple[str, str]]:
    for opening in _OPENINGS.keys() & record.keys():
        prefix, letters = _OPENINGS[opening]
        columns = []
        for letter in letters:
            if is_blank(record.get(prefix + letter)):
                break
            columns.append((letter.upper(), record[prefix + letter]))
        if len(columns) > 1:
            return _texts(columns)
    return []


def _texts(options: Iterable[tuple[Any, Any]]) -> list[tuple[str, str]]:
    try:
        return [(as_text(label), as_text(text)) for label, text in options]
    except Unusable:
        return []  # not options, but something else under their name

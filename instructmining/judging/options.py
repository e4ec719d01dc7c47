"""Multiple choice: the options of a question, and which of them its reference names.

Options are the last run of lines with a label each (`A) …`, `(b) …`, `1. …`), as `score` writes
those that stand in fields of their own, or a list below a line that begins with "Options".
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from instructmining.judging.right_answers import final_part, plain_words

_LABELLED = re.compile(r"^\s*(?:[-*]\s+)?\(?([A-Za-z]|\d{1,2})[).:]\s+(\S.*)$")
_LISTED = re.compile(r"^\s*[-*]\s*(\S.*)$")
_HEADING = re.compile(r"\b(?:options|choices)\b\W*$", re.IGNORECASE)
_LABEL_ALONE = re.compile(
    r"\W*(?:.*\b(?:answer|option|choice)\b(?: is)?\W*)?\b([A-Za-z]|\d{1,2})\b\W*", re.IGNORECASE
)
_LABEL_FIRST = re.compile(r"\(?([A-Za-z]|\d{1,2})[).:]\s")


class Choice(NamedTuple):
    """What a model may reply, an option each, and the place of the right one."""

    replies: tuple[str, ...]
    right: int


class _Option(NamedTuple):
    label: str  # lower case; blank in a list without labels
    text: str


def choice_of(question: str, reference: str) -> Choice | None:
    """The options of a question; None where there are none, or the reference names no single one.

    Args:
        question: the last turn of the user.
        reference: a label, an option's text, or a worked answer whose last line holds either.

    Returns:
        Labels as replies where the reference is a label and nothing else, else the texts.
    """
    options = _options(question.replace("\\n", "\n").splitlines())
    if len(options) < 2:
        return None
    final = final_part(reference).strip()
    texts = tuple(option.text for option in options)
    if texts.count(final) == 1:
        return Choice(texts, texts.index(final))
    alone = _LABEL_ALONE.fullmatch(final)
    first = _LABEL_FIRST.match(final)
    for label, as_labels in ((alone, True), (first, False)):
        right = _place(options, label.group(1)) if label else None
        if right is not None:
            labels = tuple(option.label.upper() for option in options)
            return Choice(labels if as_labels else texts, right)
    right = _named(texts, final)
    return None if right is None else Choice(texts, right)


def _options(lines: Sequence[str]) -> list[_Option]:
    labelled = list(_labelled_runs(lines))
    return labelled[-1] if labelled else _list_below_heading(lines)


def _labelled_runs(lines: Sequence[str]) -> Iterator[list[_Option]]:
    """Runs of two lines and more whose labels count up from A or 1."""
    run: list[_Option] = []
    for line in [*lines, ""]:
        match = _LABELLED.match(line)
        label = match.group(1).lower() if match else ""
        if match and label == _label(len(run), label):
            run.append(_Option(label, match.group(2).strip()))
            continue
        if len(run) > 1:
            yield run
        starts = match is not None and label == _label(0, label)
        run = [_Option(label, match.group(2).strip())] if match and starts else []


def _label(place: int, like: str) -> str:
    return str(place + 1) if like.isdigit() else chr(ord("a") + place)


def _list_below_heading(lines: Sequence[str]) -> list[_Option]:
    headings = [place for place, line in enumerate(lines) if _HEADING.search(line)]
    if not headings:
        return []
    options = []
    for line in lines[headings[-1] + 1 :]:
        match = _LISTED.match(line)
        if match is None:
            break
        options.append(_Option("", match.group(1).strip()))
    return options


def _place(options: Sequence[_Option], label: str) -> int | None:
    labels = [option.label for option in options]
    return labels.index(label.lower()) if label.lower() in labels else None


def _named(texts: Sequence[str], final: str) -> int | None:
    """The option whose words stand in the text, the longest; None where two are as long."""
    said = f" {plain_words(final)} "
    words = [plain_words(text) for text in texts]
    lengths = [len(text) if text and f" {text} " in said else 0 for text in words]
    longest = max(lengths)
    return lengths.index(longest) if longest and lengths.count(longest) == 1 else None

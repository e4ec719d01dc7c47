"""Does an answer keep the form that is asked for? A form that a program can verify.

What form is asked for is read from the reference: JSON, a list of so many items, code in a fence,
yes or no, one word. Nothing is said of what stands in it.
"""

import json
import re
from typing import NamedTuple

_FENCE = re.compile(r"^```[^\n`]*\n.*?^```", re.DOTALL | re.MULTILINE)
_NUMBERED = re.compile(r"^\s*\d{1,3}[.)]\s+\S")
_BULLET = re.compile(r"^\s*[-*•]\s+\S")
_YES_OR_NO = re.compile(r"\W*(?:yes|no)\W*", re.IGNORECASE)
_FEWEST = 2  # lines of a list


class Form(NamedTuple):
    """A form, and how many items it has where it is a list; else 0."""

    kind: str
    items: int = 0


def form_of(text: str) -> Form | None:
    """The form of a text; None where it has none that could be asked for, as plain sentences."""
    stripped = text.strip()
    if json_kind := _json_kind(stripped):
        return Form(json_kind)
    if _FENCE.search(stripped):
        return Form("code block")
    lines = [line for line in stripped.splitlines() if line.strip()]
    for kind, item in (("numbered list", _NUMBERED), ("bulleted list", _BULLET)):
        items = sum(bool(item.match(line)) for line in lines)
        if items >= max(_FEWEST, len(lines) / 2):
            return Form(kind, items)
    if _YES_OR_NO.fullmatch(stripped):
        return Form("yes or no")
    return Form("one word") if len(stripped.split()) == 1 else None


def keeps_form(answer: str, reference: str) -> bool:
    """Whether an answer has the form of its reference, a list with as many items."""
    wanted = form_of(reference)
    return wanted is not None and form_of(answer) == wanted


def _json_kind(text: str) -> str | None:
    if not text.startswith(("{", "[")):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return "JSON object" if isinstance(value, dict) else "JSON array"

"""What a layout makes of a record: its parts, each a checked conversation or a reason.

And how the fields of a record are found and read, the same in every layout.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from instructmining.layouts.field_names import steps

Record = Mapping[str, Any]
Message = dict[str, Any]  # role and content, both text; more in `chat`, see `turns.one_turn`
Messages = list[Message]

_EXACT = 1e16  # from here on a float is not exact to one
# The role of an assistant turn that is not to be learnt: it is context, and never the response.
CONTEXT = "assistant_context"

# A sign that no text may hold (a Unicode noncharacter): readers put it before what they say about a
# value that is not text, so that it is refused where a layout reads it.
NOT_TEXT = "\ufdd0"

OBJECT = (dict,)  # for isinstance: objects come from JSON, and to ask for Mapping is slow
NESTED = (list, dict)


class Unusable(Exception):  # noqa: N818 - not an error of the program: the record goes to quarantine
    """A record that cannot be used: a reason code, and the same in words on one line."""

    def __init__(self, reason: str, detail: str) -> None:
        line = " ".join(detail[:500].split())
        self.reason = reason
        self.detail = "".join(sign if sign.isprintable() else "�" for sign in line)
        super().__init__(self.detail)


class Part(NamedTuple):
    """One conversation of a record, cut after its last assistant turn, or why there is none."""

    label: str | None  # tells the parts of a record apart; None: the record is one conversation
    found: Messages | Unusable


def part(label: str | None, read: Callable[..., Messages], *arguments: Any) -> Part:
    """The conversation that `read(*given)` finds, checked.

    Raises:
        Unusable: there is none and no label: then it is the record that cannot be used.
    """
    if label is None:
        return Part(None, usable(read(*arguments)))
    label = label.encode("utf-8", "backslashreplace").decode()  # a lone surrogate is not text
    try:
        return Part(label, usable(read(*arguments)))
    except Unusable as problem:
        return Part(label, problem.with_traceback(None))  # which would keep the record alive


def usable(messages: Messages) -> Messages:
    """The conversation up to its last assistant turn, without blank system messages.

    Turns after it are left out; where one of them is marked as not to be learnt, they are kept in
    `after` of the last message, so that an export gives them back.

    Raises:
        Unusable: nothing is asked or answered, an answer is blank, or a text is not Unicode.
    """
    last = _length(messages)
    turns = []
    asked = False
    for number, message in enumerate(messages[:last], start=1):
        role = message["role"]
        content = message["content"]
        blank = not content or content.isspace()
        if blank and role == "assistant":
            raise Unusable("blank_response", f"turn {number}, of the assistant, is empty or blank")
        if not content.isascii():
            _check_unicode(content, number)
        asked = asked or not (blank or role in ("assistant", CONTEXT))
        if not blank or role != "system":
            turns.append(message)
    if not asked:
        raise Unusable("blank_prompt", "nothing is asked: every turn before the response is blank")
    if any(message["role"] == CONTEXT for message in messages[last:]):
        turns[-1] = {**turns[-1], "after": messages[last:]}
    return turns


def _length(messages: Messages) -> int:
    """How many messages there are up to the last one to be learnt."""
    for place in range(len(messages), 0, -1):
        if messages[place - 1]["role"] == "assistant":
            return place
    if any(message["role"] == CONTEXT for message in messages):
        detail = "every turn of the assistant is marked as not to be learnt (weight 0 or the like)"
        raise Unusable("nothing_to_learn", detail)
    raise Unusable("no_response", "the conversation has no assistant turn")


def text(record: Record, field: str) -> str:
    """The text of a field; a list of text parts is joined by line breaks."""
    value = record.get(field)
    if isinstance(value, str):
        return value
    if value is None:
        raise missing(record, field)
    parts = value.get("parts") if isinstance(value, OBJECT) else value  # as Gemini has them
    if isinstance(parts, list) and parts and all(_is_text_part(block, "text") for block in parts):
        return "\n".join(block["text"] for block in parts)
    raise Unusable("wrong_type", f"{field!r} must be text, this is {kind(value)}")


def as_text(value: Any) -> str:
    """A value as text where prompts and answers are not only text.

    Numbers as JSON writes them, whole ones without a fraction (`42`, not `42.0`); `true` and
    `false`; a list as its elements, one a line, so that one element stands for itself. `NaN` is
    null.

    Raises:
        Unusable: it is an object, or holds one, or it is an infinite number.
    """
    if value != value:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int)):
        return json.dumps(value)
    if isinstance(value, float) and abs(value) < math.inf:
        whole = value.is_integer() and abs(value) < _EXACT
        return json.dumps(int(value) if whole else value)
    if isinstance(value, list) and value and all(map(_is_text_part, value)):
        return "\n".join(item["text"] for item in value)
    if isinstance(value, list) and not any(isinstance(item, (list, *OBJECT)) for item in value):
        return "\n".join(as_text(item) for item in value if not is_blank(item))
    raise Unusable("wrong_type", f"text is wanted, this is {kind(value)}")


def is_blank(value: Any) -> bool:
    """Whether nothing is in it: null, white space, `NaN`, an empty list or object."""
    if isinstance(value, str):
        return not value or value.isspace()
    if isinstance(value, (list, dict)):
        return not value
    return value is None or value != value


def first(record: Record, names: Iterable[str]) -> str | None:
    """The first of the names that is a field with something in it; else one that is not null."""
    blank = None
    for name in names:
        value = record.get(name)
        if value is None:
            continue
        if not is_blank(value):
            return name
        blank = blank or name
    return blank


def plain(record: Record) -> Record:
    """The fields that are not null, under names in lower case; an exact name goes first."""
    if None not in record.values() and "".join(record).islower():
        return record
    fields: dict[str, Any] = {}
    for name in sorted(record, key=lambda name: name != name.lower()):
        if record[name] is not None:
            fields.setdefault(name.lower(), record[name])
    return fields


def lookup(record: Record, name: str) -> Any:
    """The field of that name; without one, the value at a dotted path; None if there is neither.

    A step of the path that holds a dot stands in double quotes, see `layouts.field_names`.
    """
    if name in record:
        return record[name]
    value: Any = record
    for step in steps(name):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isascii() and step.isdigit():
            value = next(iter(value[int(step) :][:1]), None)
        else:
            return None
    return value


def missing(record: Record, field: str) -> Unusable:
    """Says that a field is absent or null, and which are there."""
    return Unusable("missing_field", f"{field!r} is missing or null; there are {listed(record)}")


def listed(record: Record) -> str:
    """The names of a record's first fields."""
    return ", ".join(map(repr, list(record)[:8])) or "no fields"


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    names = {
        dict: "an object",
        list: "a list",
        str: "text",
        bool: "true or false",
        int: "a number",
        float: "a number",
        type(None): "null",
    }
    return names.get(type(value), type(value).__name__)


def _is_text_part(value: Any, untyped: str | None = None) -> bool:
    """Whether it is a block of text; `untyped` is the type of one that does not say it."""
    return (
        isinstance(value, OBJECT)
        and value.get("type", untyped) == "text"
        and isinstance(value.get("text"), str)
    )


def _check_unicode(content: str, number: int) -> None:
    _, not_text, problem = content.partition(NOT_TEXT)
    if not_text:
        raise Unusable("wrong_type", f"turn {number} is not text: {problem.splitlines()[0]}")
    try:
        content.encode()
    except UnicodeEncodeError as error:
        raise Unusable("invalid_unicode", f"turn {number}: {error.reason}") from None

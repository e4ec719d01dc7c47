"""The turns that a field lists, in whatever form, as objects with a speaker and a content."""

import ast
import json
import re
import warnings
from collections.abc import Iterable, Iterator
from itertools import cycle
from typing import Any

from instructmining.layouts.fields import choose
from instructmining.layouts.records import OBJECT, Record, Unusable, first, is_blank, plain

_PYTHON = re.compile(r"\s*\[\s*[\[{]?\s*'")  # how str() of a list of objects or texts begins
_NAMES = {
    "system": ("system", "developer"),
    "user": ("user", "human", "prompter", "customer"),
    "assistant": (
        "assistant",
        "gpt",
        "chatgpt",
        "gpt-4",
        "bot",
        "chatbot",
        "model",
        "ai",
        "bard",
        "bing",
        "claude",
        "gemini",
        "llm",
        "function_call",
        "tool_call",
    ),
    "tool": (
        "tool",
        "function",
        "observation",
        "ipython",
        "function_response",
        "tool_response",
    ),
}
ROLES = {name: role for role, names in _NAMES.items() for name in names}
# Fields that are speakers themselves; `model` and `customer` are labels too, and so are not here.
_KEYS = ("user", "human", "prompter", "assistant", "gpt", "bot", "chatbot", "tool", "observation")
SPEAKERS = ("role", "from", "speaker", "sender")  # fields of a turn, the first that is there
CONTENTS = ("content", "value", "text", "message", "utterance", "parts")
CALLS = ("tool_calls", "function_call")  # a turn of calls needs no content


def turn_list(value: Any) -> list[Any] | None:
    """The turns that a value lists; None where it is not a list of turns.

    It may be a list of objects, JSON text of one, an object of two lists (as Arrow stores a list
    of objects), a list of texts in turn, of pairs of question and answer or of speaker and text,
    or of objects with a question and its answer.
    """
    if isinstance(value, str):
        value = parsed(value)
    if isinstance(value, OBJECT):
        value = _transposed(value)
    if not isinstance(value, list):
        return None
    if value and isinstance(value[0], dict):
        return list(_of_objects(value))
    if len(value) == 1 and isinstance(value[0], list) and turn_list(value[0]) is not None:
        value = value[0] if not _is_pair(value[0]) else value
    if len(value) > 1 and all(isinstance(text, str) for text in value):
        return _in_turn(value)
    if value and all(map(_is_pair, value)):
        return _of_pairs(value)
    return list(_of_objects(value))


def is_conversation(value: Any) -> bool:
    """Whether a list is a whole conversation: a record that is not an object may be one."""
    if not isinstance(value, list) or not value:
        return False
    if all(isinstance(text, str) for text in value):
        return len(value) % 2 == 0
    return all(map(_is_pair, value)) or lists_turns(value)


def is_turn(value: Any) -> bool:
    """Whether this is an object in which somebody speaks."""
    return isinstance(value, OBJECT) and first(plain(value), SPEAKERS) is not None


def lists_turns(value: Any) -> bool:
    """Whether this is a list of objects in which somebody says something."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(is_turn(turn) and first(plain(turn), (*CONTENTS, *CALLS)) for turn in value)
    )


def parsed(text: str) -> Any:
    """What a cell of text holds as JSON, or as Python writes lists; else the text."""
    if text.lstrip()[:1] not in ("[", "{"):
        return text
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        pass
    if not _PYTHON.match(text):
        return text
    try:
        with warnings.catch_warnings(action="ignore"):  # of escapes in its strings
            return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text


def _transposed(value: Record) -> list[Record] | None:
    """`{"role": [...], "content": [...]}` as a list of objects."""
    columns = plain(value)
    speaker, content = first(columns, SPEAKERS), first(columns, CONTENTS)
    if speaker is None or content is None:
        return None
    lists = [columns[speaker], columns[content]]
    if not all(isinstance(column, list) for column in lists) or len(lists[0]) != len(lists[1]):
        return None
    names = [name for name, cells in columns.items() if isinstance(cells, list)]
    return [
        {name: columns[name][place] for name in names if place < len(columns[name])}
        for place in range(len(lists[0]))
    ]


def _in_turn(texts: Iterable[str]) -> list[Any]:
    objects = [parsed(text) for text in texts]
    if all(map(is_turn, objects)):
        return objects
    return [
        {"role": role, "content": text}
        for role, text in zip(cycle(("user", "assistant")), texts, strict=False)
    ]


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(e, str) for e in value)


def _of_pairs(pairs: list[list[str]]) -> list[Any]:
    if all(name.strip().lower() in ROLES for name, _ in pairs):
        return [{"role": name, "content": text} for name, text in pairs]
    return _in_turn([text for pair in pairs for text in pair])


def _of_objects(listed: list[Any]) -> Iterator[Any]:
    """Each object as it is where somebody speaks in it, else its question and its answer."""
    system = None
    for item in listed:
        fields = plain(item) if isinstance(item, OBJECT) else {}
        if fields.get("role") or fields.get("from"):
            yield fields
            continue
        turns = None if first(fields, SPEAKERS) else _exchange(fields)
        if turns is None:
            yield fields or item
            continue
        if not is_blank(fields.get("system")) and fields["system"] != system:
            system = fields["system"]
            yield {"role": "system", "content": system}
        yield from turns


def _exchange(fields: Record) -> list[Record] | None:
    """`{"user": …, "assistant": …}` or `{"input": …, "output": …}` as turns."""
    named = [name for name in fields if name in _KEYS]
    if len(fields) == 1 or {ROLES[name] for name in named} >= {"user", "assistant"}:
        return [{"role": name, "content": fields[name]} for name in named] or None
    try:
        chosen = choose(fields)
    except Unusable:
        return None
    if chosen is None:
        return None
    asked = [fields[name] for name in (chosen.prompt, *chosen.parts)]
    content = "\n\n".join(asked) if all(isinstance(e, str) for e in asked) else asked[0]
    return [
        {"role": "user", "content": content},
        {"role": "assistant", "content": fields[chosen.response]},
    ]

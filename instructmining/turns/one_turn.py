"""One turn of a conversation: its fields and content blocks become messages.

A message has `role` and `content`, the text that models read. Where the turn holds more (calls,
reasoning, media, marks of what is to be learnt), the message has it as `chat`: fields of OpenAI's
chat form, from which an export gives the turn back.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from instructmining.layouts.records import (
    CONTEXT,
    OBJECT,
    Message,
    Messages,
    Record,
    Unusable,
    as_text,
    first,
    kind,
    missing,
    plain,
)
from instructmining.layouts.turn_lists import CALLS, CONTENTS, SPEAKERS
from instructmining.turns.tool_calls import Call, calls_of, reasoning_of, with_calls

REASONING = ("reasoning_content", "reasoning", "thinking")
CALLERS = ("function_call", "tool_call")  # speakers of turns that are nothing but calls
_OF_RESULTS = ("tool_call_id", "name")
# A turn with one of these at no is not learnt. `mask` is the contrary, see `_is_masked`.
_LEARNT = ("weight", "train", "trainable", "training", "loss", "loss_mask")
_MASKED = ("mask", "masked")
MARKS = (*_LEARNT, *_MASKED)
# All that a turn may hold beside its role and its content.
IN_TURNS = frozenset((*CALLS, *REASONING, *MARKS, *_OF_RESULTS, "refusal"))
_MEDIA = ("image", "audio", "video", "file", "document", "media", "inlinedata", "filedata")
_TEXTS = ("text", "input_text", "output_text", "refusal")
_THOUGHTS = ("thinking", "reasoning", "reasoning_content")
_USES = ("tool_use", "server_tool_use", "tool_call", "function_call", "functioncall", "function")
_RESULTS = ("tool_result", "tool_response", "function_call_output", "functionresponse")


def messages_of(turn: Record, role: str, place: str, speaker: Any = None) -> Messages:
    """The messages of a turn, mostly one; results of tools inside it are messages of their own.

    Args:
        turn: its fields, under names in lower case, without nulls.
        role: who speaks.
        place: names the turn in reasons.
        speaker: the same as the record says it.

    Raises:
        Unusable: there is no content, or a content or a call that is not read.
    """
    only_calls = isinstance(speaker, str) and speaker.strip().lower() in CALLERS
    said = turn.get("content", turn.get("value"))
    if speaker is not None and len(turn) == 2 and isinstance(said, str) and not only_calls:
        return [{"role": role, "content": said}]  # most turns are nothing else
    content = _content(turn, role, place, only_calls)
    if role == "assistant":
        content.calls += [call for name in CALLS for call in _called(turn, name, place)]
        content.reasoning[:0] = [turn[name] for name in REASONING if name in turn]
    if not content.found and not content.calls and not reasoning_of(content.reasoning):
        if role == "system":
            return []  # a system message of null is none
        raise missing(turn, "content")
    marks = {name: turn[name] for name in MARKS if name in turn}
    spoken = [_message(content, role, turn, marks)]
    if role != "assistant" and content.results and not content.texts:
        spoken = []
    return [*content.results, *spoken]


def with_marks(record: Record, listed: list[Any]) -> list[Any]:
    """The turns with the marks that the record lists beside them, one for each turn."""
    marks = {name: record[name] for name in MARKS if isinstance(record.get(name), list)}
    marks = {name: values for name, values in marks.items() if len(values) == len(listed)}
    if not marks:
        return listed
    return [
        {**{name: values[place] for name, values in marks.items()}, **turn}
        if isinstance(turn, OBJECT)
        else turn
        for place, turn in enumerate(listed)
    ]


def implied_role(fields: Record) -> str | None:
    """Who speaks where a call or its result is an item of its own, as in OpenAI's Responses."""
    name = fields.get("type")
    if first(fields, SPEAKERS) is not None or not isinstance(name, str):
        return None
    if name.lower().startswith(_RESULTS):
        return "tool"
    return "assistant" if name.lower().startswith((*_USES, *_THOUGHTS)) else None


def is_block_type(name: str) -> bool:
    """Whether this is a type of content blocks or calls that is read."""
    return any(name.lower().startswith(names) for names, _ in _READERS)


@dataclass
class _Content:
    """What the blocks of a turn hold."""

    found: bool = True
    texts: list[str] = field(default_factory=list)  # with `<image>` in the place of a picture
    reasoning: list[Any] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    results: Messages = field(default_factory=list)
    blocks: list[Any] = field(default_factory=list)  # texts and media as they came
    has_media: bool = False


def _content(turn: Record, role: str, place: str, only_calls: bool = False) -> _Content:
    name = first(turn, CONTENTS)
    value = None if name is None else turn[name]
    if implied_role(turn):
        value = [turn]
    if only_calls and (calls := calls_of(value)):
        return _Content(calls=calls)
    if isinstance(value, str):
        return _Content(texts=[value])
    if value is None or (isinstance(value, (list, dict)) and not value):
        refusal = turn.get("refusal")
        return _Content(texts=[refusal]) if isinstance(refusal, str) else _Content(found=False)
    if isinstance(value, list):
        content = _Content()
        for block in value:
            _read_block(block, content, place)
        return content
    if isinstance(value, OBJECT) and "type" in value:
        content = _Content()
        _read_block(value, content, place)
        return content
    if isinstance(value, OBJECT) and role == "tool":
        return _Content(texts=[json.dumps(value, ensure_ascii=False)])
    if isinstance(value, (list, *OBJECT)):
        raise Unusable("wrong_type", f"{name!r} must be text, this is {kind(value)}")
    return _Content(texts=[as_text(value)])


def _called(turn: Record, name: str, place: str) -> list[Call]:
    value = turn.get(name)
    calls = calls_of(value)
    if not calls and value not in (None, "", "[]", "{}", "null", [], {}):
        raise Unusable("unread_call", f"{name!r} of {place} names no function that is called")
    return calls


def _message(content: _Content, role: str, turn: Record, marks: Mapping[str, Any]) -> Message:
    text, reasoning = "\n".join(content.texts), reasoning_of(content.reasoning)
    chat: dict[str, Any] = dict(marks)
    if content.has_media:
        chat["content"] = content.blocks
    elif reasoning or content.calls:
        chat["content"] = text or None
    if reasoning:
        chat["reasoning_content"] = reasoning
    if content.calls:
        chat["tool_calls"] = content.calls
    if role == "tool":
        chat |= {name: turn[name] for name in _OF_RESULTS if name in turn}
    speaker = CONTEXT if role == "assistant" and _is_masked(marks) else role
    message: Message = {"role": speaker, "content": with_calls(text, reasoning, content.calls)}
    return {**message, "chat": chat} if chat else message


def _is_masked(marks: Mapping[str, Any]) -> bool:
    """Whether a turn of the assistant is not to be learnt.

    A number in `mask` is read as in `loss_mask`: 0 is not learnt. True and false say whether the
    turn is masked: true is not learnt.
    """
    mask = _lower(marks.get("mask", False))
    by_mask = mask is True or mask in ("true", "yes") or (mask is not False and _is_zero(mask))
    masked = "masked" in marks and not _is_no(marks["masked"])
    return by_mask or masked or any(_is_no(marks[name]) for name in _LEARNT if name in marks)


def _is_no(value: Any) -> bool:
    value = _lower(value)
    return value is False or value in ("false", "no") or _is_zero(value)


def _is_zero(value: Any) -> bool:
    """0, or a list of zeros: one for each token."""
    if isinstance(value, list):
        return bool(value) and all(map(_is_zero, value))
    return value == "0" or (isinstance(value, (int, float)) and value == 0)


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _read_block(block: Any, content: _Content, place: str) -> None:
    """Put what a content block holds where it belongs.

    Raises:
        Unusable: it is of a type that is not read.
    """
    if isinstance(block, str):
        block = {"type": "text", "text": block}
    if not isinstance(block, OBJECT):
        raise Unusable("wrong_type", f"a content block of {place} is {kind(block)}")
    fields = plain(block)
    for names, read in _READERS:
        name, before = _type_of(fields, names), len(content.texts)
        if name is not None and read(fields, name, content, place):
            content.blocks += [block] * (len(content.texts) - before)
            return
    shown = fields.get("type", ", ".join(map(str, list(fields)[:4])))
    raise Unusable("unread_block", f"{place} has a content block of type {str(shown)[:60]!r}, "
                   "which is not read")  # fmt: skip


def _type_of(fields: Record, names: Sequence[str]) -> str | None:
    """The block's type where it is one of the names; without a type, the field that says it."""
    named_type = fields.get("type")
    if isinstance(named_type, str):
        return named_type.lower() if named_type.lower().startswith(tuple(names)) else None
    return first(fields, names)


def _read_thought(fields: Record, name: str, content: _Content, place: str) -> bool:
    value = first(fields, (name, *_THOUGHTS, "text", "summary", "content"))
    if value is None or not reasoning_of([fields[value]]):
        return name in _THOUGHTS and value is not None  # a blank one, or one without a text
    content.reasoning.append(fields[value])
    return True


def _read_text(fields: Record, name: str, content: _Content, place: str) -> bool:
    value = first(fields, (name, "text", "content"))
    text = None if value is None else fields[value]
    if not isinstance(text, str):
        return False
    if fields.get("thought") is True:  # how Gemini marks its reasoning
        content.reasoning.append(text)
        return True
    content.texts.append(text)
    return True


def _read_use(fields: Record, name: str, content: _Content, place: str) -> bool:
    calls = calls_of({field: value for field, value in fields.items() if field != "type"})
    content.calls += calls
    return bool(calls)


def _read_result(fields: Record, name: str, target: _Content, place: str) -> bool:
    inside = fields.get("functionresponse", fields)
    field = first(inside, ("content", "output", "response", "text"))
    value = "" if field is None else inside[field]
    turn = {"content": value if isinstance(value, (str, list, *OBJECT)) else json.dumps(value)}
    if not turn["content"]:
        turn["content"] = ""
    content = _content(turn, "tool", place)
    identifier = first(inside, ("tool_use_id", "tool_call_id", "call_id", "id"))
    if identifier is not None:
        turn["tool_call_id"] = inside[identifier]
    if isinstance(inside.get("name"), str):
        turn["name"] = inside["name"]
    target.results.append(_message(content, "tool", turn, {}))
    return True


def _read_medium(fields: Record, name: str, content: _Content, place: str) -> bool:
    kind_of_medium = next((kind for kind in ("image", "audio", "video") if kind in name), "file")
    content.texts.append(f"<{kind_of_medium}>")  # the place of the medium in the text
    content.has_media = True
    return True


_Reader = Callable[[Record, str, _Content, str], bool]
_READERS: tuple[tuple[tuple[str, ...], _Reader], ...] = (
    (_RESULTS, _read_result),
    (_USES, _read_use),
    (_THOUGHTS, _read_thought),
    (("input_image", "input_audio", "input_file", "input_video", *_MEDIA), _read_medium),
    (_TEXTS, _read_text),
)

"""What an example has beside the texts of its messages: tools, media, the parts of turns.

Stored as JSON in `examples.structure`, null where there is nothing:

    tools   definitions of what may be called, as they came
    media   fields of the record that refer to pictures, sounds or films, as they came
    turns   number of a message, from 0, to its fields in OpenAI's chat form where it is more than a
            text: content, reasoning_content, tool_calls, tool_call_id, name, weight, train, …
    after   messages after the response, where one of them is marked as not to be learnt: role,
            content and, as in `turns`, chat
"""

import json
from collections.abc import Mapping
from typing import Any

from instructmining.layouts.records import OBJECT, Messages, Record, is_blank, plain
from instructmining.turns.tool_calls import decoded

Structure = dict[str, Any]

TOOLS = ("tools", "functions", "available_tools", "tool_definitions", "function_definitions")
_TOOLS = frozenset(TOOLS)
_KINDS = ("image", "audio", "video")
_ENDINGS = ("", "s", "_path", "_paths", "_url", "_urls", "_file", "_files")
# Fields of a record, and the kind of medium that they refer to.
MEDIA = {f"{kind}{end}": kind for kind in _KINDS for end in _ENDINGS} | dict.fromkeys(
    ("img", "picture", "pictures"), "image"
)
# Where an object says what it refers to, the surest first.
_REFERENCES = ("bytes", "data", "url", "path", "uri", "fileuri", "file_id", "file_data")


def structure_of(around: Structure, messages: Messages) -> Structure | None:
    """The structure of an example.

    Args:
        around: what is beside the turns of its record, see `beside_turns`.
        messages: of it, as `one_turn.messages_of` gives them.
    """
    turns = {str(i): message["chat"] for i, message in enumerate(messages) if "chat" in message}
    after = [_with_chat(message) for message in messages[-1].get("after", ())]
    structure = around
    if turns:
        structure = {**structure, "turns": turns}
    if after:
        structure = {**structure, "after": after}
    return structure or None


def beside_turns(record: Any) -> Structure:
    """`tools` and `media` of a record, where it has them."""
    fields = plain(record) if isinstance(record, OBJECT) else {}
    structure: Structure = {}
    tools = _tools(fields)
    if tools is not None:
        structure["tools"] = tools
    if not MEDIA.keys().isdisjoint(fields):
        named = [name for name in MEDIA if name in fields and not is_blank(fields[name])]
        structure |= {"media": {name: fields[name] for name in named}} if named else {}
    return structure


def as_json(structure: Structure | None) -> str | None:
    """The structure as it is stored; half a surrogate pair as an escape, for Arrow takes none."""
    if structure is None:
        return None
    text = json.dumps(structure, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(structure)
    return text


def identifying(structure: Structure | None) -> list[dict[str, str]]:
    """What of a structure is part of an example's identity, as messages to hash.

    The texts of the messages hold reasoning, calls and whether a turn is learnt. Beside them count
    tool definitions, whatever they are wrapped in, and what media refer to, each kind in order.
    """
    turns = []
    if structure and "tools" in structure:
        turns.append({"role": "tools", "content": _canonical(_definitions(structure["tools"]))})
    if structure and (references := media_of(structure)):
        turns.append({"role": "media", "content": _canonical(references)})
    return turns


def media_of(structure: Structure) -> dict[str, list[Any]]:
    """What the media of an example are, by kind: addresses, names of files, or their data."""
    media: dict[str, list[Any]] = {}
    for name, value in structure.get("media", {}).items():
        listed = decoded(value)
        for medium in listed if isinstance(listed, list) else [listed]:
            media.setdefault(MEDIA[name], []).append(_reference(medium))
    for chat in structure.get("turns", {}).values():
        blocks = chat.get("content")
        for block in blocks if isinstance(blocks, list) else []:
            if isinstance(block, OBJECT) and not _is_text(block):
                inside = {name: value for name, value in block.items() if name != "type"}
                media.setdefault(_kind_of(block), []).append(_reference(inside))
    return media


def _tools(fields: Record) -> Any:
    """The definitions of a record, of its `input`, and of turns that carry their own."""
    places: list[Any] = [fields, fields.get("input")]
    for value in fields.values():
        if isinstance(value, list):
            places += value
    places = [
        holder for holder in places if isinstance(holder, dict) and not _TOOLS.isdisjoint(holder)
    ]
    if not places:
        return None
    lists = [
        value
        for place in places
        for name in TOOLS
        if name in place and not is_blank(value := decoded(place[name]))
    ]
    if len(lists) < 2:
        return lists[0] if lists else None
    return [holder for value in lists for holder in (value if isinstance(value, list) else [value])]


def _definitions(tools: Any) -> list[Any]:
    """Definitions without the object that some write around each."""
    listed = tools if isinstance(tools, list) else [tools]
    bare = []
    for tool in map(decoded, listed):
        inside = tool.get("function") if isinstance(tool, OBJECT) else None
        bare.append(inside if isinstance(inside, OBJECT) else tool)
    return bare


def _reference(value: Any) -> Any:
    """The address in an object, however deep: `{"image_url": {"url": "…"}}`."""
    if not isinstance(value, OBJECT):
        return value
    fields = plain(value)
    objects = [name for name, inside in fields.items() if isinstance(inside, OBJECT)]
    for name in (*_REFERENCES, *objects, *MEDIA):
        inside = fields.get(name)
        if isinstance(inside, (str, *OBJECT)) and inside:
            return _reference(inside)
    return dict(value)


def _kind_of(block: Record) -> str:
    """`image`, `audio`, `video` or `file`: by its type, or by the field that holds it."""
    said = str(block.get("type", " ".join(map(str, block)))).lower()
    return next((kind for kind in _KINDS if kind in said), "file")


def _is_text(block: Mapping[str, Any]) -> bool:
    return any(isinstance(block.get(name), str) for name in ("text", "refusal"))


def _with_chat(message: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "role": message["role"],
        "content": message["content"],
        "chat": message.get("chat", {}),
    }


def _canonical(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

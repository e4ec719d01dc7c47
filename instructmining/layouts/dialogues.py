"""Conversations of many turns: what a turn is, who speaks, and the layouts that list them.

The layouts of one question and one answer (`single_turn`) build on the same turns and checks. A
layout is a function from a record, whose null fields are left out, to its parts, or None where
the record is not of that layout.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from instructmining.layouts.fields import RESPONSES, has_exchange
from instructmining.layouts.records import (
    CONTEXT,
    OBJECT,
    Messages,
    Part,
    Record,
    Unusable,
    first,
    kind,
    listed,
    part,
    plain,
    text,
)
from instructmining.layouts.transcripts import spoken_turns, without_name
from instructmining.layouts.turn_lists import ROLES, SPEAKERS, lists_turns, turn_list
from instructmining.turns.one_turn import implied_role, messages_of, with_marks

# Fields beside the turns.
SYSTEMS = (
    "system",
    "system_prompt",
    "system_message",
    "system_instruction",
    "systeminstruction",  # Gemini's `systemInstruction`
)


# Fields that hold a conversation: a list of turns, texts in turn, or a transcript.
TALKS = ("messages", "conversations", "conversation", "dialogue", "dialog", "chat", "data", "talk")
_WRITTEN = (*TALKS, "transcript", "text", "prompt")


def messages(record: Record) -> list[Part] | None:
    """`messages`: a list of `role`, `content`, as chat APIs have it."""
    return _listed(record, "messages")


def sharegpt(record: Record) -> list[Part] | None:
    """`conversations` or `conversation`: a list of `from`, `value`."""
    return _listed(record, "conversations", "conversation")


def turns_elsewhere(record: Record) -> list[Part] | None:
    """A list of turns under another name, where nothing else is a prompt with its response."""
    if has_exchange(record):
        return None
    names = [name for name in TALKS if isinstance(record.get(name), list)]
    names += [name for name in record if name not in TALKS and lists_turns(record[name])]
    names = [name for name in names if _speaks(record[name])]
    return _listed(record, names[0]) if len(names) == 1 else None  # of two, which is wanted?


def transcribed(record: Record) -> list[Part] | None:
    """One text with all turns in it, in one of the usual styles of transcripts."""
    if has_exchange(record):
        return None
    for name in dict.fromkeys((*_WRITTEN, *record)):
        spoken = record.get(name)
        turns_there = spoken_turns(spoken) if isinstance(spoken, str) else None
        if turns_there:
            return [part(None, _transcribed, record, turns_there)]
    return None


def oasst(record: Record, best_path: bool = False) -> list[Part] | None:
    """A tree of messages: `prompt` with `replies`, which have `replies` themselves.

    One part, labelled by its `message_id`, for every assistant message below which there is no
    other; with `best_path` at each message only the reply of the lowest `rank` is followed.
    """
    root = record.get("prompt")
    if not isinstance(root, OBJECT) or not ("replies" in root or "message_tree_id" in record):
        return None
    nodes = _nodes(root, best_path)
    ends: list[int] = []
    answered = [False] * len(nodes)  # whether an assistant speaks here or below
    for place in range(len(nodes) - 1, -1, -1):
        node, parent = nodes[place]
        if not answered[place] and _role(_speaker(node), ROLES) == "assistant":
            answered[place] = True
            ends.append(place)
        if answered[place] and parent is not None:
            answered[parent] = True
    if not ends:
        raise Unusable("no_response", "no assistant message is left in the tree")
    said = _said(nodes)
    return [part(_label(nodes[end][0], end), _path, nodes, said, end) for end in reversed(ends)]


def turns(listed: Iterable[Any], where: str, roles: Mapping[str, str] = ROLES) -> Messages:
    """Messages of a list of objects, each with one of `SPEAKERS` and a content."""
    messages: Messages = []
    for number, turn in enumerate(listed, start=1):
        messages += _turn(turn, f"turn {number} of {where!r}", roles)
    return messages


def _turn(turn: Any, place: str, roles: Mapping[str, str] = ROLES) -> Messages:
    if not isinstance(turn, OBJECT):
        raise Unusable("wrong_type", f"{place} is {kind(turn)}")
    fields = plain(turn)
    speaker = _speaker(fields)
    role = _role(speaker, roles) or implied_role(fields)
    if role is None:
        if speaker is None:
            raise Unusable("unknown_role", f"{place} names no speaker; it has {listed(turn)}")
        shown = repr(speaker[:40]) if isinstance(speaker, str) else kind(speaker)
        raise Unusable("unknown_role", f"the speaker of {place} is {shown}")
    return messages_of(fields, role, place, speaker)


def with_system(record: Record, messages: Messages) -> Messages:
    """The conversation after the record's system prompt, where it has one it does not repeat."""
    name = first(record, SYSTEMS)
    if name is None:
        return messages
    opening = {"role": "system", "content": text(record, name)}
    return messages if messages[:1] == [opening] else [opening, *messages]


def _listed(record: Record, *names: str) -> list[Part] | None:
    for name in names:
        listed = None if name not in record else turn_list(record[name])
        if listed is not None:
            return [part(None, _conversation, record, listed, name)]
    return None


def _speaks(value: Any) -> bool:
    """Whether these are turns or texts in turn, not records under a common name."""
    return lists_turns(value) or lists_turns(turn_list(value) if _bare(value) else None)


def _bare(value: list[Any]) -> bool:
    return bool(value) and not any(isinstance(turn, OBJECT) for turn in value)


def _conversation(record: Record, listed: list[Any], name: str) -> Messages:
    messages = turns(with_marks(record, listed), name)
    if messages and messages[-1]["role"] not in ("assistant", CONTEXT):
        response = first(record, RESPONSES)  # it may stand beside what was asked
        if response is not None:
            messages.append({"role": "assistant", "content": text(record, response)})
    return with_system(record, messages)


def _transcribed(record: Record, messages: Messages) -> Messages:
    name = first(record, SYSTEMS)
    if name is None or not isinstance(record[name], str):
        return with_system(record, messages)
    return with_system({name: without_name(record[name])}, messages)


def _nodes(root: Record, best_path: bool) -> list[tuple[Record, int | None]]:
    """The messages of a tree, each with its parent's place; parents first, no deleted branch."""
    nodes: list[tuple[Record, int | None]] = []
    waiting: list[tuple[Any, int | None]] = [(root, None)]
    while waiting:
        node, parent = waiting.pop()
        if not isinstance(node, OBJECT):
            raise Unusable("wrong_type", f"a reply of the tree is {kind(node)}")
        node = plain(node)
        if node.get("deleted") is True:
            continue
        replies = list_of(node, "replies") if node.get("replies") is not None else []
        if best_path:
            replies = sorted(replies, key=_rank)[:1]
        waiting += [(reply, len(nodes)) for reply in reversed(replies)]
        nodes.append((node, parent))
    return nodes


def _rank(reply: Any) -> tuple[bool, float]:
    """Sorts deleted replies and then those without a rank after the others."""
    node = reply if isinstance(reply, OBJECT) else {}
    rank = node.get("rank")
    if not isinstance(rank, (int, float)) or rank != rank:
        rank = float("inf")
    return (node.get("deleted") is True, rank)


def _said(nodes: Sequence[tuple[Record, int | None]]) -> list[Messages | Unusable]:
    """What each message of a tree says, or why it cannot be used: once, for paths share them."""
    said: list[Messages | Unusable] = []
    depths: list[int] = []
    for node, parent in nodes:
        depths.append(1 if parent is None else depths[parent] + 1)
        try:
            said.append(_turn(node, f"turn {depths[-1]} of 'replies'"))
        except Unusable as problem:
            said.append(problem.with_traceback(None))
    return said


def _path(
    nodes: Sequence[tuple[Record, int | None]], said: Sequence[Messages | Unusable], end: int
) -> Messages:
    path: list[Messages | Unusable] = []
    step: int | None = end
    while step is not None:
        path.append(said[step])
        step = nodes[step][1]
    messages: Messages = []
    for turn in reversed(path):
        if isinstance(turn, Unusable):
            raise turn
        messages += turn
    return messages


def _label(node: Record, place: int) -> str:
    name = node.get("message_id")
    return name if isinstance(name, str) else str(place)


def list_of(record: Record, field: str) -> list[Any]:
    """The list in a field.

    Raises:
        Unusable: it is not a list.
    """
    value = record.get(field)
    if isinstance(value, list):
        return value
    raise Unusable("wrong_type", f"{field!r} must be a list, this is {kind(value)}")


def _speaker(turn: Record) -> Any:
    name = first(turn, SPEAKERS)
    return None if name is None else turn[name]


def _role(speaker: Any, roles: Mapping[str, str]) -> str | None:
    # Numbers name speakers too; of anything nested even its text could be too deep to write.
    if not isinstance(speaker, (str, int)):
        return None
    return roles.get(str(speaker).strip().lower())

"""Records of any layout, read by the names the user gives: `--columns prompt=q,response=a`."""

from collections.abc import Mapping
from typing import Any

from instructmining.errors import UserError
from instructmining.layouts.dialogues import turns
from instructmining.layouts.records import (
    OBJECT,
    Messages,
    Record,
    Unusable,
    kind,
    lookup,
    missing,
    text,
)
from instructmining.layouts.single_turn import single_turn
from instructmining.layouts.transcripts import RESULTS, transcript, without_name
from instructmining.layouts.turn_lists import CALLS, ROLES, parsed
from instructmining.turns.one_turn import IN_TURNS

_SPEAKERS = ("user", "assistant", "system", "tool")

# What must be named and what may be; the first name decides which of the three it is.
_KINDS = {
    "turns": (("turns", "role", "content"), (*_SPEAKERS, "system_field")),
    "transcript": (("transcript", "user", "assistant"), ("system", "tool", "system_field")),
    "prompt": (("prompt", "response"), ("input", "system")),
}


def from_columns(record: Record, columns: Mapping[str, str]) -> Messages:
    """The conversation in the fields that the user names.

    Args:
        record: the record as it comes. A name that is not a field is a dotted path into it.
        columns: one of three kinds.
            `prompt`, `response`, optionally `input` and `system`: one question, one answer.
            `turns`, `role`, `content`: a list and two fields of its objects; optionally `user`,
            `assistant`, `system`, `tool`: what the role field says for them.
            `transcript`, `user`, `assistant`, optionally `system`, `tool`: a text, and with what
            its lines begin, before a colon, where somebody else speaks. Unless `tool` is named,
            `RESULTS` are names of it.
            With the last two, `system_field` is the field of the system prompt.

    Raises:
        Unusable: with the reason why.
        UserError: the columns are of none of the three kinds.
    """
    check_columns(columns)
    if "turns" in columns:
        return _with_system(record, columns, _dialogue(record, columns))
    if "transcript" in columns:
        return _with_system(record, columns, _transcript(record, columns))
    return _single_turn(record, columns)


def check_columns(columns: Mapping[str, str]) -> None:
    """Raise UserError where columns do not make up a conversation."""
    kind_of_columns = next((name for name in _KINDS if name in columns), "prompt")
    needed, optional = _KINDS[kind_of_columns]
    lacking = [name for name in needed if name not in columns]
    odd = [name for name in columns if name not in (*needed, *optional)]
    if lacking or odd:
        raise UserError(
            f"columns must name {', '.join(needed)} and may name {', '.join(optional)}; "
            f"{'missing is' if lacking else 'not among them is'} {', '.join(lacking or odd)}"
        )


def _single_turn(record: Record, columns: Mapping[str, str]) -> Messages:
    fields = {column: lookup(record, column) for column in columns.values()}
    for name in ("prompt", "response"):
        _required(record, columns[name])
    asked_and_said = single_turn(
        fields, columns["prompt"], columns["response"], columns.get("input")
    )
    system = columns.get("system")
    if system is None or fields[system] is None:
        return asked_and_said
    return [{"role": "system", "content": text(fields, system)}, *asked_and_said]


def _dialogue(record: Record, columns: Mapping[str, str]) -> Messages:
    listed = _required(record, columns["turns"])
    listed = parsed(listed) if isinstance(listed, str) else listed
    if not isinstance(listed, list):
        raise Unusable("wrong_type", f"{columns['turns']!r} must be a list, this is {kind(listed)}")
    named = [_named_turn(turn, columns) if isinstance(turn, OBJECT) else turn for turn in listed]
    own = {value.lower(): role for value, role in speakers(columns).items()}
    return turns(named, columns["turns"], {**ROLES, **own})


def _named_turn(turn: Record, columns: Mapping[str, str]) -> Record:
    """The turn with its role and content under our names, and its calls, reasoning and marks."""
    others = {name.lower(): value for name, value in turn.items() if name.lower() in IN_TURNS}
    content = lookup(turn, columns["content"])
    if content is None and not any(others.get(name) for name in CALLS):
        raise missing(turn, columns["content"])
    return {**others, "role": _required(turn, columns["role"]), "content": content}


def _transcript(record: Record, columns: Mapping[str, str]) -> Messages:
    name = columns["transcript"]
    named = speakers(columns)
    markers = named if "tool" in columns else {**dict.fromkeys(RESULTS, "tool"), **named}
    spoken = transcript(text({name: _required(record, name)}, name), markers)
    if spoken is None:
        expected = " or ".join(f"{marker}:" for marker in named)
        raise Unusable("unknown_role", f"no line of {name!r} begins with {expected}")
    return spoken


def _with_system(record: Record, columns: Mapping[str, str], messages: Messages) -> Messages:
    name = columns.get("system_field")
    value = None if name is None else lookup(record, name)
    if name is None or value is None:
        return messages
    return [{"role": "system", "content": without_name(text({name: value}, name))}, *messages]


def speakers(columns: Mapping[str, str]) -> dict[str, str]:
    """The user's names of speakers, and our roles."""
    if "turns" not in columns and "transcript" not in columns:
        return {}
    return {columns[role]: role for role in _SPEAKERS if role in columns}


def _required(record: Record, name: str) -> Any:
    value = lookup(record, name)
    if value is None:
        raise missing(record, name)
    return value

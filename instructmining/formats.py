"""From one decoded record to one conversation: the layouts instruction data comes in.

A format is a function from a record to its messages, or None where the record is not of that
layout. `FORMATS` is tried in order; a new layout is one function and one line.
"""

from collections.abc import Callable, Mapping
from typing import Any

Record = Mapping[str, Any]
Messages = list[dict[str, str]]

ROLES = {
    "system": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant",
    "model": "assistant", "bard": "assistant", "bing": "assistant",
    "tool": "tool", "function": "tool", "observation": "tool",
}  # fmt: skip


class Unusable(Exception):  # noqa: N818 - not an error of the program: the record goes to quarantine
    """A record that cannot be used: a reason code and the same in words."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def alpaca(record: Record) -> Messages | None:
    """`instruction`, optional `input`, and `output` (or `response`, as GPTeacher has it)."""
    if "instruction" not in record or "context" in record:
        return None
    response = "output" if "output" in record or "response" not in record else "response"
    return single_turn(record, "instruction", response, "input")


def dolly(record: Record) -> Messages | None:
    """`instruction`, `context`, `response`."""
    if "instruction" not in record or "context" not in record:
        return None
    return single_turn(record, "instruction", "response", "context")


def sharegpt(record: Record) -> Messages | None:
    """`conversations`: a list of `{"from", "value"}`."""
    return _turns(record, "conversations", "from", "value")


def messages(record: Record) -> Messages | None:
    """`messages`: a list of `{"role", "content"}`, as chat APIs have it."""
    return _turns(record, "messages", "role", "content")


FORMATS: dict[str, Callable[[Record], Messages | None]] = {
    "messages": messages,
    "sharegpt": sharegpt,
    "dolly": dolly,
    "alpaca": alpaca,
}


def standardize(
    record: Any, format_name: str = "auto", columns: Mapping[str, str] | None = None
) -> tuple[str, Messages]:
    """The format's name and the conversation, cut after its last assistant turn.

    Args:
        record: a decoded JSON value or a table row as a dictionary.
        format_name: `auto`, or the one format to accept.
        columns: the user's own names: `prompt`, `response`, and optionally `input`, `system`.

    Raises:
        Unusable: with the reason why.
    """
    if not isinstance(record, Mapping):
        raise Unusable("not_an_object", f"a record must be an object, this is {_kind(record)}")
    if columns:
        return "columns", _usable(_mapped(record, columns))
    names = FORMATS if format_name == "auto" else [format_name]
    for name in names:
        found = FORMATS[name](record)
        if found is not None:
            return name, _usable(found)
    keys = ", ".join(list(record)[:8]) or "none"
    raise Unusable("unknown_format", f"no known layout has these fields: {keys}")


def single_turn(record: Record, prompt: str, response: str, extra: str | None) -> Messages:
    """One user and one assistant turn; the extra field joins the prompt after a blank line."""
    instruction = _text(record, prompt)
    added = _text(record, extra) if extra and record.get(extra) is not None else ""
    content = f"{instruction}\n\n{added}" if added.strip() else instruction
    return [
        {"role": "user", "content": content},
        {"role": "assistant", "content": _text(record, response)},
    ]


def prompt_and_response(conversation: Messages) -> tuple[str, str]:
    """The last assistant turn, and everything before it joined by blank lines."""
    before = "\n\n".join(message["content"] for message in conversation[:-1])
    return before, conversation[-1]["content"]


def _mapped(record: Record, columns: Mapping[str, str]) -> Messages:
    found = single_turn(record, columns["prompt"], columns["response"], columns.get("input"))
    if "system" in columns and record.get(columns["system"]):
        found.insert(0, {"role": "system", "content": _text(record, columns["system"])})
    return found


def _turns(record: Record, field: str, role_key: str, text_key: str) -> Messages | None:
    turns = record.get(field)
    if not isinstance(turns, list):
        return None
    found = []
    for number, turn in enumerate(turns, start=1):
        if not isinstance(turn, Mapping):
            raise Unusable("wrong_type", f"turn {number} of {field} is {_kind(turn)}")
        role = ROLES.get(str(turn.get(role_key)).lower())
        if role is None:
            raise Unusable("unknown_role", f"turn {number} of {field}: {turn.get(role_key)!r}")
        found.append({"role": role, "content": _text(turn, text_key)})
    return found


def _text(record: Record, field: str) -> str:
    if field not in record or record[field] is None:
        raise Unusable("missing_field", f"no {field!r}")
    value = record[field]
    if isinstance(value, list) and value and all(_is_text_part(part) for part in value):
        return "\n".join(part["text"] for part in value)
    if not isinstance(value, str):
        raise Unusable("wrong_type", f"{field!r} must be text, this is {_kind(value)}")
    return value


def _is_text_part(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text" and "text" in part


def _usable(found: Messages) -> Messages:
    last = max((i for i, m in enumerate(found) if m["role"] == "assistant"), default=None)
    if last is None:
        raise Unusable("no_response", "the conversation has no assistant turn")
    kept = found[: last + 1]
    for number, message in enumerate(kept, start=1):
        if message["role"] == "assistant" and not message["content"].strip():
            raise Unusable("blank_response", f"assistant turn {number} is empty or blank")
        try:
            message["content"].encode()
        except UnicodeEncodeError as error:
            raise Unusable("invalid_unicode", f"turn {number}: {error.reason}") from None
    if not any(m["content"].strip() for m in kept if m["role"] != "assistant"):
        raise Unusable("blank_prompt", "nothing is asked: every turn before the response is blank")
    return kept


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false",
             int: "a number", float: "a number", type(None): "null"}  # fmt: skip
    return names.get(type(value), type(value).__name__)

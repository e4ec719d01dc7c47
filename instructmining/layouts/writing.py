"""A conversation as a record of a layout that `formats.standardize` and other tools read."""

from collections.abc import Callable
from typing import Any

from instructmining.errors import UserError
from instructmining.layouts.records import Messages

_SHAREGPT_NAMES = {"system": "system", "user": "human", "assistant": "gpt", "tool": "tool"}


def record_of(messages: Messages, layout: str) -> dict[str, Any]:
    """The conversation as one record; reading it again gives the same messages.

    Args:
        messages: a conversation as `formats.standardize` gives it.
        layout: a name of `LAYOUTS`.

    Raises:
        UserError: there is no such layout, or it cannot hold this conversation.
    """
    if layout not in LAYOUTS:
        raise UserError(f"there is no layout {layout!r} to write; there are {', '.join(LAYOUTS)}")
    record = LAYOUTS[layout](messages)
    if record is None:
        able = ", ".join(name for name, write in LAYOUTS.items() if write(messages) is not None)
        roles = ", ".join(message["role"] for message in messages[:6])
        more = ", …" if len(messages) > 6 else ""
        raise UserError(
            f"the layout {layout} cannot hold a conversation of {roles}{more}; these can: {able}"
        )
    return record


def alpaca(messages: Messages) -> dict[str, Any] | None:
    """`instruction`, `input`, `output`, and `system` where there is one."""
    exchange = _exchange(messages)
    if exchange is None:
        return None
    system, asked, said = exchange
    return {"instruction": asked, "input": "", "output": said, **system}


def dolly(messages: Messages) -> dict[str, Any] | None:
    """`instruction`, `context`, `response`; it has no place for a system prompt."""
    exchange = _exchange(messages)
    if exchange is None or exchange[0]:
        return None
    _, asked, said = exchange
    return {"instruction": asked, "context": "", "response": said}


def pairs(messages: Messages) -> dict[str, Any] | None:
    """`prompt`, `completion`, and `system` where there is one."""
    exchange = _exchange(messages)
    if exchange is None:
        return None
    system, asked, said = exchange
    return {"prompt": asked, "completion": said, **system}


def sharegpt(messages: Messages) -> dict[str, Any]:
    """`conversations`: a list of `from`, `value`."""
    return {
        "conversations": [
            {"from": _SHAREGPT_NAMES[message["role"]], "value": message["content"]}
            for message in messages
        ]
    }


def chat(messages: Messages) -> dict[str, Any]:
    """`messages`: a list of `role`, `content`."""
    return {"messages": [dict(message) for message in messages]}


LAYOUTS: dict[str, Callable[[Messages], dict[str, Any] | None]] = {
    "alpaca": alpaca,
    "dolly": dolly,
    "pairs": pairs,
    "sharegpt": sharegpt,
    "messages": chat,
}


def _exchange(messages: Messages) -> tuple[dict[str, str], str, str] | None:
    """System prompt, question and answer, where the conversation is no more than that."""
    roles = [message["role"] for message in messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
        return None
    *before, asked, said = (message["content"] for message in messages)
    return ({"system": before[0]} if before else {}), asked, said

"""A conversation as a record of a layout that `standardize` and other tools read."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from instructmining.errors import UserError
from instructmining.layouts.records import CONTEXT, Message, Messages
from instructmining.turns.one_turn import MARKS
from instructmining.turns.structure import Structure, media_of
from instructmining.turns.tool_calls import decoded

_SHAREGPT_NAMES = {"system": "system", "user": "human", "assistant": "gpt", "tool": "tool"}
_IN_TURNS = frozenset((*MARKS, "name", "tool_call_id"))  # fields that a turn of ShareGPT may have


def record_of(
    messages: Messages, layout: str, structure: Structure | None = None
) -> dict[str, Any]:
    """The conversation as one record; reading it again gives the same example.

    Args:
        messages: a conversation, of which `role` and `content` are read.
        layout: a name of `LAYOUTS`.
        structure: what it has beside them, see `turns.structure`.

    Raises:
        UserError: there is no such layout, or it cannot hold this conversation.
    """
    if layout not in LAYOUTS:
        raise UserError(f"there is no layout {layout!r} to write; there are {', '.join(LAYOUTS)}")
    beside = structure or {}
    record = LAYOUTS[layout](messages, beside)
    if record is None:
        able = [name for name, write in LAYOUTS.items() if write(messages, beside) is not None]
        roles = ", ".join(message["role"] for message in messages[:6])
        more = ", …" if len(messages) > 6 else ""
        more += " with turns after the response" if "after" in beside else ""
        more += " with files" if "file" in media_of(beside) else ""
        raise UserError(
            f"the layout {layout} cannot hold a conversation of {roles}{more}; "
            f"these can: {', '.join(able)}"
        )
    return record


def plain_turn(turn: Message) -> dict[str, Any]:
    """Role and content alone; a turn that is not to be learnt is one of the assistant."""
    role = "assistant" if turn["role"] == CONTEXT else turn["role"]
    return {"role": role, "content": turn["content"]}


def alpaca(messages: Messages, structure: Structure) -> dict[str, Any] | None:
    """`instruction`, `input`, `output`, and `system`, `tools` and media where there are any."""
    exchange = _exchange(messages, structure)
    if exchange is None:
        return None
    system, asked, said = exchange
    return {"instruction": asked, "input": "", "output": said, **system, **_beside(structure)}


def dolly(messages: Messages, structure: Structure) -> dict[str, Any] | None:
    """`instruction`, `context`, `response`; it has no place for a system prompt."""
    exchange = _exchange(messages, structure)
    if exchange is None or exchange[0]:
        return None
    _, asked, said = exchange
    return {"instruction": asked, "context": "", "response": said, **_beside(structure)}


def pairs(messages: Messages, structure: Structure) -> dict[str, Any] | None:
    """`prompt`, `completion`, and `system`, `tools` and media where there are any."""
    exchange = _exchange(messages, structure)
    if exchange is None:
        return None
    system, asked, said = exchange
    return {"prompt": asked, "completion": said, **system, **_beside(structure)}


def sharegpt(messages: Messages, structure: Structure) -> dict[str, Any] | None:
    """`conversations`: a list of `from`, `value`; `tools` as JSON text; media as lists.

    Reasoning and calls stand in the text; a turn of nothing but calls is a `function_call`.
    """
    if "file" in media_of(structure):
        return None
    turns = [_sharegpt_turn(turn) for turn in _chat_turns(messages, structure)]
    return {"conversations": turns, **_beside(structure)}


def chat(messages: Messages, structure: Structure) -> dict[str, Any]:
    """`messages`: a list of `role`, `content`, with calls, reasoning and marks as OpenAI has them.

    Tool definitions and the media of the record stand beside it as they came.
    """
    turns = [
        {"role": turn["role"], "content": turn["content"], **turn["chat"]}
        for turn in _chat_turns(messages, structure)
    ]
    tools = {"tools": structure["tools"]} if "tools" in structure else {}
    return {"messages": turns, **tools, **structure.get("media", {})}


LAYOUTS: dict[str, Callable[[Messages, Structure], dict[str, Any] | None]] = {
    "alpaca": alpaca,
    "dolly": dolly,
    "pairs": pairs,
    "sharegpt": sharegpt,
    "messages": chat,
}


def _exchange(messages: Messages, structure: Structure) -> tuple[dict[str, str], str, str] | None:
    """System prompt, question and answer, where the conversation is no more than that."""
    roles = [message["role"] for message in messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
        return None
    if "after" in structure or "file" in media_of(structure):
        return None
    *before, asked, said = (message["content"] for message in messages)
    return ({"system": before[0]} if before else {}), asked, said


def _beside(structure: Structure) -> dict[str, Any]:
    """Tool definitions as JSON text, and media as lists by kind, as LLaMA-Factory reads them."""
    tools = structure.get("tools")
    text = tools if isinstance(tools, str) else json.dumps(tools, ensure_ascii=False)
    media = {f"{kind}s": references for kind, references in media_of(structure).items()}
    return ({} if tools is None else {"tools": text}) | media


def _chat_turns(messages: Messages, structure: Structure) -> Iterable[Message]:
    """All turns with their fields, a turn that is not learnt as one of the assistant."""
    turns = structure.get("turns", {})
    here = [
        {"role": message["role"], "content": message["content"], "chat": turns.get(str(place), {})}
        for place, message in enumerate(messages)
    ]
    for turn in (*here, *structure.get("after", [])):
        if turn["role"] == CONTEXT:
            marks = {} if _IN_TURNS & turn["chat"].keys() else {"weight": 0}
            yield {**turn, "role": "assistant", "chat": {**turn["chat"], **marks}}
        else:
            yield turn


def _sharegpt_turn(turn: Message) -> dict[str, Any]:
    fields = {name: value for name, value in turn["chat"].items() if name in _IN_TURNS}
    calls = turn["chat"].get("tool_calls")
    if not calls or turn["chat"].get("content") or "reasoning_content" in turn["chat"]:
        return {"from": _SHAREGPT_NAMES[turn["role"]], "value": turn["content"], **fields}
    bare = [_bare(call) for call in calls]
    value = json.dumps(bare[0] if len(bare) == 1 else bare, ensure_ascii=False)
    return {"from": "function_call", "value": value, **fields}


def _bare(call: dict[str, Any]) -> dict[str, Any]:
    """A call as ShareGPT has it, its id beside the name."""
    function = call["function"]
    known = {"id": call["id"]} if "id" in call else {}
    return {**known, "name": function["name"], "arguments": decoded(function["arguments"])}

"""The layouts of one question and one answer, and of a question with several answers.

All of them may have a system prompt and earlier exchanges (`history`) beside them. Which field is
the prompt and which the response, `fields` says.
"""

from typing import Any

from instructmining.layouts.dialogues import SYSTEMS, turns, with_system
from instructmining.layouts.fields import (
    RESPONSES,
    WORKED,
    Choice,
    choose,
    options_of,
)
from instructmining.layouts.records import (
    OBJECT,
    Message,
    Messages,
    Part,
    Record,
    Unusable,
    as_text,
    first,
    is_blank,
    kind,
    missing,
    part,
    plain,
    text,
)
from instructmining.layouts.transcripts import asked_turns
from instructmining.layouts.turn_lists import is_turn, lists_turns, parsed, turn_list
from instructmining.turns.one_turn import REASONING, messages_of

_RESPONSES_OF = {
    "alpaca": ("output", *RESPONSES),
    "dolly": ("response", *RESPONSES),
    "pairs": RESPONSES,
}
_WORKED = frozenset(WORKED)
_NOTHING = ("null", "none", "nan", "")  # what tables of text hold for no list
HISTORIES = ("history", "chat_history", "conversation_history")
_BEFORE = frozenset((*SYSTEMS, *HISTORIES))


def alpaca(record: Record) -> list[Part] | None:
    """`instruction`, optional `input`, and `output` (or `response`, as GPTeacher has it)."""
    if "instruction" not in record:
        return None
    return [part(None, _exchange, record, _chosen(record, _RESPONSES_OF["alpaca"]))]


def dolly(record: Record) -> list[Part] | None:
    """`instruction`, `context`, `response`; the context may be null, and so left out."""
    if "instruction" not in record or "response" not in record:
        return None
    if "context" not in record and ("input" in record or "output" in record):
        return None
    return [part(None, _exchange, record, _chosen(record, _RESPONSES_OF["dolly"]))]


def self_instruct(record: Record) -> list[Part] | None:
    """`instruction` (or `definition`) and `instances`: one part for each `input` and `output`."""
    instances = record.get("instances")
    if not isinstance(instances, list):
        return None
    name = first(record, ("instruction", "definition"))
    if name is None:
        return None
    if not instances:
        raise Unusable("no_response", "the list of instances is empty")
    if len(instances) == 1:
        return [part(None, _instance, record[name], instances[0])]
    return [
        part(str(number), _instance, record[name], instance)
        for number, instance in enumerate(instances, start=1)
    ]


def pairs(record: Record) -> list[Part] | None:
    """One field of `PROMPTS` and one of `RESPONSES`, each a text or a list of messages."""
    chosen = choose(record)
    return [part(None, _exchange, record, chosen)] if chosen else None


def short_answers(record: Record, layout: str) -> dict[str, str]:
    """The shorter answers beside a worked one, by the names of their fields."""
    if layout not in _RESPONSES_OF or _WORKED.isdisjoint(record):
        return {}
    chosen = choose(record, _RESPONSES_OF[layout])
    return {name: as_text(record[name]) for name in chosen.short} if chosen else {}


def single_turn(record: Record, prompt: str, response: str, extra: str | None) -> Messages:
    """What is asked and what is answered; the extra field joins the prompt after a blank line."""
    parts = (extra,) if extra else ()
    return [
        *question(record, prompt, parts),
        *said(record, response, "assistant"),
    ]


def _chosen(record: Record, responses: tuple[str, ...]) -> Choice:
    """The fields of a record with an instruction, whose response may be missing."""
    chosen = choose(record, responses)
    if chosen:
        return chosen
    raise missing(record, responses[0])


def _exchange(record: Record, chosen: Choice) -> Messages:
    turns_asked = question(record, chosen.prompt, chosen.parts)
    answer = record.get(chosen.response)
    options, answer = options_of(record, turns_asked[-1]["content"], answer)
    if options:
        turns_asked[-1] = _longer(turns_asked[-1], "\n".join(options))
    answered = said({chosen.response: answer}, chosen.response, "assistant")
    return after(record, [*turns_asked, *_with_reasoning(record, answered)])


def _with_reasoning(record: Record, answered: Messages) -> Messages:
    """The response with the reasoning that stands in a field beside it."""
    reasoning = {name: record[name] for name in REASONING if name in record}
    if not reasoning or len(answered) > 1 or "chat" in answered[0]:
        return answered
    turn = {**reasoning, "content": answered[0]["content"]}
    return messages_of(turn, "assistant", "the response")


def question(record: Record, prompt: str, parts: tuple[str, ...]) -> Messages:
    """The prompt as turns; its parts join the last of them, each after a blank line."""
    asked_turns = said(record, prompt, "user")
    for name in parts:
        if not is_blank(record.get(name)):
            asked_turns[-1] = _longer(asked_turns[-1], _written(record, name))
    return asked_turns


def _longer(message: Message, more: str) -> Message:
    """The message with more text after a blank line, also where it is stored as content blocks."""
    longer = {**message, "content": f"{message['content']}\n\n{more}"}
    blocks = message.get("chat", {}).get("content")
    if isinstance(blocks, list):
        longer["chat"] = {**message["chat"], "content": [*blocks, {"type": "text", "text": more}]}
    return longer


def said(record: Record, field: str, role: str) -> Messages:
    """The field's text as one message, or the messages that it lists or tells."""
    value = record.get(field)
    if isinstance(value, str):
        value = parsed(value)
        if isinstance(value, str) or not (lists_turns(value) or is_turn(value)):
            asked_before = asked_turns(record[field]) if role == "user" else None
            return asked_before or [{"role": role, "content": record[field]}]
    if isinstance(value, list) and value and all(map(is_turn, value)):
        return turns(turn_list(value) or [], field)
    if is_turn(value):
        return turns(turn_list([value]) or [], field)
    if _are_blocks(value):
        return messages_of({"content": value}, role, repr(field))
    return [{"role": role, "content": _written(record, field)}]


def _are_blocks(value: Any) -> bool:
    """Whether these are content blocks, each of a type, with more than text among them."""
    return (
        isinstance(value, list)
        and all(isinstance(block, OBJECT) and isinstance(block.get("type"), str) for block in value)
        and any(block["type"] != "text" for block in value)
    )


def _written(record: Record, field: str) -> str:
    """The field as text; of answers as SQuAD lists them the first."""
    value = record.get(field)
    if value is None:
        raise missing(record, field)
    if isinstance(value, OBJECT) and isinstance(value.get("text"), list) and value["text"]:
        value = value["text"][0]
    try:
        return as_text(value)
    except Unusable:
        raise Unusable("wrong_type", f"{field!r} must be text, this is {kind(value)}") from None


def after(record: Record, messages: Messages) -> Messages:
    """The exchange after the record's system prompt and history, where it has them."""
    if _BEFORE.isdisjoint(record):
        return messages
    name = first(record, HISTORIES)
    earlier = _history(name, record[name]) if name else []
    return with_system(record, [*earlier, *messages])


def _history(name: str, listed: Any) -> Messages:
    """Earlier exchanges: a list of pairs of texts, as LLaMA-Factory has it, of turns, or JSON."""
    if isinstance(listed, str):
        listed = None if listed.strip().lower() in _NOTHING else parsed(listed)
    if is_blank(listed):
        return []
    if not isinstance(listed, list):
        raise Unusable("wrong_type", f"{name!r} must be a list of pairs, this is {kind(listed)}")
    if lists_turns(listed):
        return turns(listed, name)
    messages = []
    for pair in listed:
        if not isinstance(pair, list) or len(pair) != 2:
            raise Unusable("wrong_type", f"{name!r} must be a list of pairs of question and answer")
        asked_and_said = dict(zip(("user", "assistant"), pair, strict=True))
        messages += [
            {"role": role, "content": text(asked_and_said, role)} for role in asked_and_said
        ]
    return messages


def _instance(instruction: Any, instance: Any) -> Messages:
    if not isinstance(instance, OBJECT):
        raise Unusable("wrong_type", f"an instance is {kind(instance)}")
    whole = {**plain(instance), "instruction": instruction}
    return single_turn(whole, "instruction", "output", "input")

"""The layouts of one question and one answer, and of a question with several answers.

All of them may have a system prompt and earlier exchanges (`history`) beside them.
"""

from typing import Any

from instructmining.layouts.dialogues import SYSTEMS, is_turn, transcript, turns, with_system
from instructmining.layouts.records import (
    OBJECT,
    Messages,
    Part,
    Record,
    Unusable,
    first,
    kind,
    listed,
    part,
    text,
)

# Accepted names of fields; of several that are there, the first of the tuple counts.
PROMPTS = (
    "prompt",
    "question",
    "query",
    "inputs",
    "input",
    "source",
    "problem",
    "request",
    "human",
    "user",
)
RESPONSES = (
    "completion",
    "response",
    "answer",
    "output",
    "outputs",
    "targets",
    "target",
    "assistant",
    "reply",
    "solution",
    "chosen",
)
_BESIDE_PROMPT = ("input", "context")  # what a prompt is about, joined to it
_BESIDE_INSTRUCTION = (*_BESIDE_PROMPT, "question", "query")
_ALPACA_RESPONSES = ("output", *RESPONSES)
_TELLING = {"prompt", "question", "query", "completion", "response", "answer", "output"}
_BEFORE = frozenset((*SYSTEMS, "history"))
_ANSWERS = (str, list, *OBJECT)
_HH = {"Human": "user", "Assistant": "assistant"}


def alpaca(record: Record) -> list[Part] | None:
    """`instruction`, optional `input`, and `output` (or `response`, as GPTeacher has it)."""
    if "instruction" not in record:
        return None
    response = first(record, _ALPACA_RESPONSES) or "output"
    return [part(None, _exchange, record, "instruction", response)]


def dolly(record: Record) -> list[Part] | None:
    """`instruction`, `context`, `response`; the context may be null, and so left out."""
    if "instruction" not in record or "response" not in record:
        return None
    if "context" not in record and ("input" in record or "output" in record):
        return None
    return [part(None, _exchange, record, "instruction", "response")]


def self_instruct(record: Record) -> list[Part] | None:
    """`instruction` and `instances`: one part for each `input` and `output`."""
    instances = record.get("instances")
    if not isinstance(instances, list) or "instruction" not in record:
        return None
    if not instances:
        raise Unusable("no_response", "the list of instances is empty")
    if len(instances) == 1:
        return [part(None, _instance, record, instances[0])]
    return [
        part(str(number), _instance, record, instance)
        for number, instance in enumerate(instances, start=1)
    ]


def preference(record: Record) -> list[Part] | None:
    """`chosen` and `rejected`: answers to a prompt, or whole conversations; one part each."""
    if "chosen" not in record or "rejected" not in record:
        return None
    if not any(isinstance(record[label], _ANSWERS) for label in ("chosen", "rejected")):
        return None  # scores, or flags
    return [part(label, _preferred, record, label) for label in ("chosen", "rejected")]


def pairs(record: Record) -> list[Part] | None:
    """One field of `PROMPTS` and one of `RESPONSES`, each a text or a list of messages."""
    prompt = first(record, PROMPTS)
    response = first(record, RESPONSES)
    if prompt and response:
        return [part(None, _exchange, record, prompt, response)]
    if prompt in _TELLING or response in _TELLING:
        side, names = ("response", RESPONSES) if prompt else ("prompt", PROMPTS)
        raise Unusable(
            "missing_field", f"no {side}: none of {', '.join(names)} is among {listed(record)}"
        )
    return None


def single_turn(record: Record, prompt: str, response: str, extra: str | None) -> Messages:
    """What is asked and what is answered; the extra field joins the prompt after a blank line."""
    return [*_question(record, prompt, extra), *_said(record, response, "assistant")]


def _exchange(record: Record, prompt: str, response: str) -> Messages:
    return _behind(record, single_turn(record, prompt, response, _extra(record, prompt)))


def _extra(record: Record, prompt: str) -> str | None:
    """The first field that is not empty of those that say what a prompt is about."""
    for name in _BESIDE_INSTRUCTION if prompt == "instruction" else _BESIDE_PROMPT:
        if name != prompt and record.get(name) not in (None, ""):
            return name
    return None


def _question(record: Record, prompt: str, extra: str | None) -> Messages:
    asked = _said(record, prompt, "user")
    added = text(record, extra) if extra and record.get(extra) is not None else ""
    if added and not added.isspace():
        asked[-1]["content"] += f"\n\n{added}"
    return asked


def _said(record: Record, field: str, role: str) -> Messages:
    """The field's text as one message, or the messages that it lists."""
    value = record.get(field)
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if isinstance(value, list) and value and all(map(is_turn, value)):
        return turns(value, field)
    if is_turn(value):
        return turns([value], field)
    return [{"role": role, "content": text(record, field)}]


def _behind(record: Record, found: Messages) -> Messages:
    """The exchange behind the record's system prompt and history, where it has them."""
    if _BEFORE.isdisjoint(record):
        return found
    return with_system(record, [*_history(record.get("history")), *found])


def _history(given: Any) -> Messages:
    """Earlier exchanges as LLaMA-Factory has them: a list of pairs of texts."""
    found = []
    if given is not None and not isinstance(given, list):
        raise Unusable("wrong_type", f"'history' must be a list of pairs, this is {kind(given)}")
    for pair in given or []:
        if not isinstance(pair, list) or len(pair) != 2:
            raise Unusable("wrong_type", "'history' must be a list of pairs of question and answer")
        asked_and_said = dict(zip(("user", "assistant"), pair, strict=True))
        found += [{"role": role, "content": text(asked_and_said, role)} for role in asked_and_said]
    return found


def _instance(record: Record, instance: Any) -> Messages:
    if not isinstance(instance, OBJECT):
        raise Unusable("wrong_type", f"an instance is {kind(instance)}")
    whole = {**instance, "instruction": record["instruction"]}
    return single_turn(whole, "instruction", "output", "input")


def _preferred(record: Record, label: str) -> Messages:
    """The conversation of one answer; it may be whole in itself."""
    answer = _said(record, label, "assistant")
    if any(message["role"] == "user" for message in answer):
        return _behind(record, answer)
    prompt = "instruction" if "instruction" in record else first(record, PROMPTS)
    if prompt is None and isinstance(record[label], str):
        prompt_and_answer = transcript(record[label], _HH, gap="\n\n")
        if prompt_and_answer:
            return _behind(record, prompt_and_answer)
    if prompt is None and isinstance(record[label], OBJECT):
        prompt = first(record, ("conversations", "messages"))
    if prompt is None:
        raise Unusable(
            "missing_field",
            f"no prompt: neither instruction nor any of "
            f"{', '.join(PROMPTS)} is among {listed(record)}",
        )
    return _behind(record, [*_question(record, prompt, _extra(record, prompt)), *answer])

"""Which field of a record is what: the prompt, the parts that join it, and the response.

A field is chosen by what else the record has: `source` is a prompt only where nothing else is,
and of two answers the worked one is the response. `TABLE` says it in words for the page of
formats.
"""

from collections.abc import Iterable
from typing import NamedTuple

from instructmining.layouts.records import (
    Record,
    Unusable,
    first,
    is_blank,
    listed,
)

PROMPTS = (
    "instruction",
    "prompt",
    "question",
    "query",
    "question_stem",
    "inputs",
    "input",
    "problem",
    "request",
    "human",
)
# Labels in most data: a prompt only where no other field is one.
LAST_PROMPTS = ("definition", "text", "user", "source")
# Of these a label is first the prompt of its own answer, as in a translation or a chat.
_COUNTERPARTS = {"source": ("target", "targets"), "user": ("assistant", "reply")}
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
    "worked_solution",
    "generated_solution",
    "rationale",
    "answers",
    "correct_answer",
    "final_answer",
    "expected_answer",
    "best_answer",
    "answerkey",
    "answer_key",
    "chosen",
)
WORKED = ("solution", "worked_solution", "generated_solution")
SHORT = ("answer", "final_answer", "expected_answer", "correct_answer")
# Joined to the prompt in this order; what is already in its text is not repeated.
PARTS = ("context", "passage", "article", "document", "code", "inputs", "input")
# Of an instruction these are parts too, for then they are what it is about.
QUESTIONS = ("question", "query", "problem", "request")
_WHOLE_PARTS = (*PARTS, *QUESTIONS)
_PARTS_OF_QUESTIONS = tuple(name for name in PARTS if name != "inputs")
_ALWAYS = ("context", "input", "question", "query")  # joined even where the prompt repeats them
_TELLING = {"prompt", "question", "query", "completion", "response", "answer", "output"}


class Choice(NamedTuple):
    """The fields of one exchange by name."""

    prompt: str
    parts: tuple[str, ...]  # joined to the prompt, each after a blank line
    response: str
    short: tuple[str, ...] = ()  # shorter answers beside the response, kept as columns


def choose(record: Record, responses: Iterable[str] = RESPONSES) -> Choice | None:
    """The fields of one exchange; None where there is no prompt or no response.

    Raises:
        Unusable: one half is there under a name that leaves no doubt, and the other is not.
    """
    prompt = asked(record)
    response, short = _answered(record, responses)
    if prompt and response:
        return Choice(prompt, parts_of(record, prompt), response, short)
    if prompt in _TELLING or response in _TELLING:
        names = RESPONSES if prompt else (*PROMPTS, *LAST_PROMPTS)
        raise Unusable(
            "missing_field",
            f"no {'response' if prompt else 'prompt'}: none of {', '.join(names)} is among "
            f"{listed(record)}",
        )
    return None


def asked(record: Record) -> str | None:
    """The field that asks: the first of `PROMPTS` that is not blank, else of `LAST_PROMPTS`.

    Where all of `PROMPTS` that are there are blank, nothing is asked: a label is not a substitute.
    """
    if _is_task(record):
        return "definition"
    return first(record, PROMPTS) or _last_prompt(record)


def _last_prompt(record: Record) -> str | None:
    for name, answers in _COUNTERPARTS.items():
        if not is_blank(record.get(name)) and first(record, answers):
            return name
    return first(record, LAST_PROMPTS)


def has_exchange(record: Record) -> bool:
    """Whether the record has a prompt and a response of its own."""
    return first(record, RESPONSES) is not None and asked(record) is not None


def parts_of(record: Record, prompt: str) -> tuple[str, ...]:
    """The fields that join the prompt, in order."""
    names = _WHOLE_PARTS if prompt in ("instruction", "definition") else _PARTS_OF_QUESTIONS
    said = record[prompt] if isinstance(record.get(prompt), str) else ""
    return tuple(
        name for name in names if name in record and name != prompt and _joins(record, name, said)
    )


def _is_task(record: Record) -> bool:
    """A `definition` beside its `inputs` is the instruction, as in Natural Instructions."""
    if "definition" not in record or is_blank(record["definition"]):
        return False
    if not is_blank(record.get("instruction")):
        return False
    return not (is_blank(record.get("inputs")) and is_blank(record.get("input")))


def _joins(record: Record, name: str, said: str) -> bool:
    value = record.get(name)
    if is_blank(value):
        return False
    if name in _ALWAYS or not isinstance(value, str):
        return name != "code" or isinstance(value, list)
    if name == "code" and len(value.split()) < 2:
        return False  # of a language or a country
    return value.strip() not in said


def _answered(record: Record, names: Iterable[str]) -> tuple[str | None, tuple[str, ...]]:
    """The response, and the short answers beside a worked one."""
    name = first(record, names)
    if name is None or name not in (*WORKED, *SHORT):
        return name, ()
    worked = first(record, WORKED)
    short = tuple(each for each in SHORT if not is_blank(record.get(each)))
    if worked is None or is_blank(record[worked]):
        return name, ()
    if any(_length(record, each) >= _length(record, worked) for each in short):
        return name, ()
    return worked, short


def _length(record: Record, name: str) -> int:
    return len(str(record[name]))

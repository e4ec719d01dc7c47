"""Which field of a record is what: the prompt, the parts that join it, and the response.

A field is chosen by what else the record has: `source` is a prompt only where nothing else is,
and of two answers the worked one is the response. `field_table` says it in words for
the page of formats.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from instructmining.layouts.records import (
    OBJECT,
    Record,
    Unusable,
    as_text,
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
    "inputs_pretokenized",  # of P3, whose `inputs` are numbers of tokens
    "inputs",
    "input",
    "problem",
    "request",
    "human",
)
# Labels in most data: a prompt only where no other field is one.
LAST_PROMPTS = ("definition", "text", "user", "message", "source")
# Of these a label is first the prompt of its own answer, as in a translation or a chat.
_COUNTERPARTS = {"source": ("target", "targets"), "user": ("assistant", "reply")}
RESPONSES = (
    "completion",
    "response",
    "answer",
    "output",
    "outputs",
    "targets_pretokenized",
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
OPTIONS = ("options", "choices")
_LETTERS = "abcdefghij"
# The first of several columns that hold an option each, with what its fellows are called.
_OPENINGS = {
    f"{prefix}{letters[0]}": (prefix, letters)
    for prefix in ("", "option_", "option", "choice_", "choice", "op")
    for letters in (_LETTERS, "123456789")
    if prefix or letters == _LETTERS
}
_OF_OPTIONS = frozenset((*OPTIONS, *_OPENINGS))
_LABELLED = re.compile(r"\s*\(?(?:[A-Za-z][).:]|[0-9][).:](?!\d))")
_TEXTS = ("text", "value", "content", "option")
_LABELS = ("label", "key", "id", "letter")


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
    short = tuple(field for field in SHORT if not is_blank(record.get(field)))
    if worked is None or is_blank(record[worked]):
        return name, ()
    if any(_length(record, field) >= _length(record, worked) for field in short):
        return name, ()
    return worked, short


def _length(record: Record, name: str) -> int:
    return len(str(record[name]))


def options_of(record: Record, question: str, answer: Any) -> tuple[list[str], Any]:
    """The lines of the options to choose from, and the answer as their letter where it counts.

    Options are a list, an object or columns `A`, `B`, …; those without a letter get one, and an
    answer that is a number then counts from 0, as in MMLU. A question that has all of the options
    in its text already gets none.
    """
    if _OF_OPTIONS.isdisjoint(record):
        return [], answer
    options = _options(record)
    name = first(record, OPTIONS)
    if name and isinstance(record[name], str):  # as MathQA has them
        text = record[name].strip()
        return [text] if text and text not in question else [], answer
    if len(options) < 2 or all(text in question for _, text in options):
        return [], answer
    if _counts_from_zero(answer, options):
        answer = _LETTERS[answer].upper()
    if all(not label and _LABELLED.match(text) for label, text in options):
        return [text for _, text in options], answer
    lines = [f"{label or _LETTERS[i].upper()}) {text}" for i, (label, text) in enumerate(options)]
    return lines, answer


def _counts_from_zero(answer: Any, options: list[tuple[str, str]]) -> bool:
    if not isinstance(answer, int) or isinstance(answer, bool):
        return False
    if any(label or _LABELLED.match(text) for label, text in options):
        return False
    if str(answer) in [text for _, text in options]:
        return False
    return 0 <= answer < len(options)


def _options(record: Record) -> list[tuple[str, str]]:
    """Label and text of each option; the label is empty where the text stands alone."""
    name = first(record, OPTIONS)
    if name is None:
        return _columns(record)
    value = record[name]
    if isinstance(value, OBJECT):
        lists = _lower(value)
        if isinstance(lists.get("text"), list):
            labels = lists.get("label")
            labels = labels if isinstance(labels, list) else [""] * len(lists["text"])
            return _texts(zip(labels, lists["text"], strict=False))
        return _texts(value.items())
    if not isinstance(value, list):
        return []
    return _texts(_labelled(option) for option in value[: len(_LETTERS)])


def _labelled(option: Any) -> tuple[Any, Any]:
    if not isinstance(option, OBJECT):
        return "", option
    label = first(option, _LABELS)
    text = first(option, _TEXTS)
    return option[label] if label else "", option[text] if text else None


def _lower(value: Record) -> Record:
    return {name.lower(): inner for name, inner in value.items()}


def _columns(record: Record) -> list[tuple[str, str]]:
    for opening in _OPENINGS.keys() & record.keys():
        prefix, letters = _OPENINGS[opening]
        columns = []
        for letter in letters:
            if is_blank(record.get(prefix + letter)):
                break
            columns.append((letter.upper(), record[prefix + letter]))
        if len(columns) > 1:
            return _texts(columns)
    return []


def _texts(options: Iterable[tuple[Any, Any]]) -> list[tuple[str, str]]:
    try:
        return [(as_text(label), as_text(text)) for label, text in options]
    except Unusable:
        return []  # not options, but something else under their name

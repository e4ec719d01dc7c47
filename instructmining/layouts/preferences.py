"""The layouts of several answers to one prompt: wanted and rejected ones, or those of models."""

from typing import Any

from instructmining.layouts.dialogues import TALKS, list_of, turns
from instructmining.layouts.fields import PROMPTS, RESPONSES, asked, parts_of
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
    plain,
    text,
)
from instructmining.layouts.single_turn import after, question, said
from instructmining.layouts.transcripts import spoken_turns
from instructmining.layouts.turn_lists import turn_list

# Two answers to one prompt: the one that is wanted, and the other.
_PAIRS = (
    ("chosen", "rejected"),
    ("preferred_output", "non_preferred_output"),
    ("chosen_response", "rejected_response"),
    ("preferred", "dispreferred"),
    ("accepted", "rejected"),
)
_WANTED = frozenset(wanted for wanted, _ in _PAIRS)
_ANSWERS = (str, list, *OBJECT)


def preference(record: Record) -> list[Part] | None:
    """`chosen` and `rejected`: answers to a prompt, or whole conversations; one part each."""
    if _is_beside_messages(record):
        record = {**record, "chosen": record["messages"], "rejected": record["rejected_response"]}
    if _WANTED.isdisjoint(record):
        return None
    names = next((pair for pair in _PAIRS if all(name in record for name in pair)), None)
    if names is None or not any(isinstance(record[name], _ANSWERS) for name in names):
        return None  # scores, or flags
    if isinstance(record.get("input"), OBJECT):  # as OpenAI has the messages before the answers
        record = {**record, **plain(record["input"])}
        del record["input"]
    return [
        part(label, _preferred, record, name)
        for label, name in zip(("chosen", "rejected"), names, strict=True)
    ]


def _is_beside_messages(record: Record) -> bool:
    """`rejected_response` beside `messages` whose last turn is the answer that is wanted."""
    if "rejected_response" not in record or any("chosen" in name for name in record):
        return False
    return isinstance(record.get("messages"), list) and bool(record["messages"])


def completions(record: Record) -> list[Part] | None:
    """A prompt and `completions`: answers of several models, one part each."""
    answers = record.get("completions")
    if not isinstance(answers, list) or not answers:
        return None
    prompt = asked(record)
    if prompt is None:
        return None
    objects = [plain(answer) if isinstance(answer, OBJECT) else {} for answer in answers]
    names = [first(answer, RESPONSES) for answer in objects]
    if not all(names):
        return None
    labels = [answer.get("model") for answer in objects]
    if len(set(map(str, labels))) < len(labels) or not all(isinstance(e, str) for e in labels):
        labels = [str(number) for number in range(1, len(objects) + 1)]
    return [
        part(label, _completed, record, prompt, answer, name)
        for label, answer, name in zip(labels, objects, names, strict=True)
    ]


def mt_bench(record: Record) -> list[Part] | None:
    """`question` with its `turns` and `answer` with its `choices`, each from a file of its own.

    One part per choice, labelled by the answer's `model_id`, or by its index if there are more.
    """
    asking = record.get("question")
    answering = record.get("answer")
    if "question_id" in record and isinstance(record.get("turns"), list):
        asking = record
        answering = None
    elif "question_id" in record and isinstance(record.get("choices"), list):
        asking = None
        answering = record
    elif not (_has_list(asking, "turns") or _has_list(answering, "choices")):
        return None
    for half, reason in ((asking, "no_question"), (answering, "no_response")):
        if half is None:
            raise Unusable(
                reason,
                "a question and its answer belong together: give the files of "
                "both, they are joined on question_id",
            )
        if not isinstance(half, OBJECT):
            raise Unusable("wrong_type", f"a question or answer of MT-Bench is {kind(half)}")
    return _choices(asking, answering)


def _completed(record: Record, prompt: str, answer: Record, name: str) -> Messages:
    asked_turns = question(record, prompt, parts_of(record, prompt))
    return after(record, [*asked_turns, *said(answer, name, "assistant")])


def _preferred(record: Record, name: str) -> Messages:
    """The conversation of one answer; it may be whole in itself."""
    whole = spoken_turns(record[name]) if isinstance(record[name], str) else None
    answer = whole or said(record, name, "assistant")
    if any(message["role"] == "user" for message in answer):
        return after(record, answer)
    prompt = first(record, (*PROMPTS, *TALKS)) or asked(record)
    if prompt is None:
        raise Unusable(
            "missing_field",
            f"no prompt: none of {', '.join(PROMPTS)} is among {listed(record)}",
        )
    asked_turns = _before_answer(record, prompt)
    return after(record, [*asked_turns, *answer])


def _before_answer(record: Record, prompt: str) -> Messages:
    """What is asked, without the answer where the prompt is a whole conversation."""
    if prompt not in TALKS:
        return question(record, prompt, parts_of(record, prompt))
    asked_turns = turns(turn_list(record[prompt]) or [], prompt)
    while asked_turns and asked_turns[-1]["role"] == "assistant":
        asked_turns.pop()
    return asked_turns


def _choices(asking: Any, answering: Any) -> list[Part]:
    choices = list_of(answering, "choices")
    if not choices:
        raise Unusable("no_response", "the answer has no choices")
    if len(choices) == 1:
        model = answering.get("model_id")
        return [part(model if isinstance(model, str) else None, _turn_about, asking, choices[0])]
    return [part(str(index), _turn_about, asking, choice) for index, choice in enumerate(choices)]


def _turn_about(asking: Record, choice: Any) -> Messages:
    """Questions and answers in turn; questions without an answer are left out."""
    if not isinstance(choice, OBJECT):
        raise Unusable("wrong_type", f"a choice of the answer is {kind(choice)}")
    questions = list_of(asking, "turns")
    replies = list_of(choice, "turns")
    if len(replies) > len(questions):
        raise Unusable("wrong_type", f"{len(replies)} answers to {len(questions)} questions")
    return [
        {"role": role, "content": text(_as_turn(turn), "content")}
        for pair in zip(questions, replies, strict=False)
        for role, turn in zip(("user", "assistant"), pair, strict=True)
    ]


def _as_turn(turn: Any) -> Record:
    return turn if isinstance(turn, OBJECT) else {"content": turn}


def _has_list(value: Any, field: str) -> bool:
    return isinstance(value, OBJECT) and isinstance(value.get(field), list)

"""From one decoded record to its conversations: the layouts instruction data comes in.

A format is a function from a record to its parts, or None where the record is not of that
layout. `FORMATS` is tried in order; a new layout is one function and one line.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from instructmining.errors import UserError
from instructmining.layouts.columns import from_columns
from instructmining.layouts.dialogues import (
    messages,
    oasst,
    sharegpt,
    transcribed,
    turns_elsewhere,
)
from instructmining.layouts.fields import PROMPTS, RESPONSES
from instructmining.layouts.preferences import completions, mt_bench, preference
from instructmining.layouts.records import (
    NESTED,
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
)
from instructmining.layouts.single_turn import alpaca, dolly, pairs, self_instruct, short_answers
from instructmining.layouts.turn_lists import is_conversation, is_turn

__all__ = [
    "FORMATS",
    "Messages",
    "Part",
    "Record",
    "Unusable",
    "kept_beside",
    "prompt_and_response",
    "standardize",
]

TREE_ROW = "tree_row"  # a record that is one message of a tree: `reading.trees` joins them
VERDICTS = ("label", "kto_tag")  # fields that say whether an answer is wanted
_TABLE = (
    "{}: this is a whole table in one object; write a row on each line instead (pandas: "
    "to_json(path, orient='records', lines=True); datasets: to_json(path))"
)
_VERDICTS = frozenset(VERDICTS)
_UNPAIRED = {"prompt", "completion", "label"}
Layout = Callable[[Record], list[Part] | None]

# Preferences come first: beside `chosen` and `rejected` such data often repeats the chosen
# conversation in another layout.
FORMATS: dict[str, Layout] = {
    "preference": preference,
    "completions": completions,
    "messages": messages,
    "sharegpt": sharegpt,
    "self_instruct": self_instruct,
    "dolly": dolly,
    "alpaca": alpaca,
    "oasst": oasst,
    "mt_bench": mt_bench,
    "turns": turns_elsewhere,
    "transcript": transcribed,
    "pairs": pairs,
}
_BEST_PATH: dict[str, Layout] = {
    **FORMATS,
    "oasst": partial(oasst, best_path=True),
}


def standardize(
    record: Any,
    format_name: str = "auto",
    columns: Mapping[str, str] | None = None,
    best_path: bool = False,
) -> tuple[str, list[Part]]:
    """The format's name and the conversations of a record, at least one.

    Args:
        record: a decoded JSON value or a table row as a dictionary. A null field counts as
            absent, and names of fields are compared without case.
        format_name: `auto`, or the one format to accept.
        columns: the user's own names, see `columns.from_columns`; they replace the format.
        best_path: of a tree of messages only the conversation of the best-ranked replies.

    Raises:
        Unusable: the record as a whole cannot be used, with the reason why.
        UserError: there is no such format, or the columns do not make up a conversation.
    """
    if is_conversation(record):
        record = {"messages": record}
    if not isinstance(record, OBJECT):
        raise Unusable("not_an_object", f"a record must be an object, this is {kind(record)}")
    if columns:
        return "columns", [part(None, from_columns, record, columns)]
    formats = _BEST_PATH if best_path else FORMATS
    if format_name != "auto":
        formats = {format_name: _named(formats, format_name)}
    fields = plain(record)
    if _is_tree_row(fields) and format_name in ("auto", "oasst"):
        raise Unusable(TREE_ROW, "a message of a tree, which a run joins with the others of it")
    nested = [value for value in fields.values() if isinstance(value, NESTED)]
    if len(nested) > 1:
        _refuse_table(fields)
    full = fields if all(nested) else _without_empty(fields)
    match = _first_of(formats, full)
    if full is not fields and _is_missing(match):
        match = _first_of(formats, fields)
    if isinstance(match, Unusable):
        raise match
    if match is not None:
        return _judged(fields, *match)
    wanted = "no known layout has" if format_name == "auto" else f"{format_name} does not have"
    raise Unusable("unknown_format", f"{wanted} these fields: {listed(record)}")


def is_readable(record: Any) -> bool:
    """Whether a layout finds a conversation in the record."""
    try:
        return any(not isinstance(one.found, Unusable) for one in standardize(record)[1])
    except Unusable:
        return False


def kept_beside(record: Record, name: str) -> dict[str, str]:
    """Fields that a layout leaves out of the conversation but keeps as columns."""
    return short_answers(plain(record), name)


def _first_of(
    formats: Mapping[str, Layout], fields: Record
) -> tuple[str, list[Part]] | Unusable | None:
    """What the first layout that the record has gives, or why it cannot be used."""
    try:
        for name, read in formats.items():
            parts = read(fields)
            if parts is not None:
                return name, parts
    except Unusable as problem:
        return problem.with_traceback(None)
    return None


def _is_missing(match: object) -> bool:
    """Whether a field was not there that may be there with nothing in it."""
    return match is None or (isinstance(match, Unusable) and match.reason == "missing_field")


def _without_empty(fields: Record) -> Record:
    """The record without empty lists and objects, which would hide a full layout beside them."""
    empty = {name for name, value in fields.items() if isinstance(value, NESTED) and not value}
    if not {"chosen", "rejected"} <= empty:
        empty -= {"chosen", "rejected"}  # the other answer of the two is one of a pair
    return {n: v for n, v in fields.items() if n not in empty}


def _refuse_table(fields: Record) -> None:
    """Refuse a whole table in one object, as pandas and data sets write it by columns.

    Raises:
        Unusable: it is one.
    """
    names, rows = fields.get("columns"), fields.get("data")
    if _are_texts(names) and isinstance(rows, list) and all(map(_are_cells(names), rows)):
        raise Unusable("wrong_type", _TABLE.format("'columns' names what is in 'data'"))
    asked, said = first(fields, PROMPTS), first(fields, RESPONSES)
    if asked and said and _are_columns(fields[asked], fields[said]):
        raise Unusable("wrong_type", _TABLE.format(f"{asked!r} and {said!r} are columns of texts"))


def _are_columns(prompts: Any, responses: Any) -> bool:
    """Whether these are lists of as many texts, or texts under the same keys, more than one."""
    if isinstance(prompts, dict) and isinstance(responses, dict):
        same = prompts.keys() == responses.keys()
        prompts, responses = list(prompts.values()), list(responses.values())
    else:
        same = True
    both = _are_texts(prompts) and _are_texts(responses)
    return same and both and len(prompts) == len(responses)


def _are_cells(names: Any) -> Callable[[Any], bool]:
    return lambda row: isinstance(row, list) and len(row) == len(names)


def _are_texts(value: Any) -> bool:
    """Whether it is a list of more than one text."""
    return (
        isinstance(value, list) and len(value) > 1 and all(isinstance(text, str) for text in value)
    )


def _is_tree_row(fields: Record) -> bool:
    """One message of a tree, as Open Assistant's tables and message files have them."""
    return (
        "message_id" in fields
        and "message_tree_id" in fields
        and "prompt" not in fields
        and is_turn(fields)
    )


def _judged(fields: Record, name: str, parts: list[Part]) -> tuple[str, list[Part]]:
    """An answer that its record says is not wanted is labelled as a rejected one is."""
    is_one = len(parts) == 1 and parts[0].label is None
    if is_one and not _VERDICTS.isdisjoint(fields) and _unwanted(fields):
        return name, [Part("rejected", parts[0].found)]
    return name, parts


def _unwanted(fields: Record) -> bool:
    """Whether the record says no of its answer.

    A number is a verdict in `kto_tag`, and in `label` where the record is a prompt, a completion
    and a label alone, as TRL has unpaired preferences; elsewhere it may be of some class.
    """
    numbers = {"kto_tag"} | ({"label"} if fields.keys() == _UNPAIRED else set())
    return any(_says_no(fields[name], name in numbers) for name in VERDICTS if name in fields)


def _says_no(verdict: Any, is_number: bool) -> bool:
    words = ("false", "0") if is_number else ("false",)
    if isinstance(verdict, str):
        return verdict.strip().lower() in words
    return verdict is False or (is_number and isinstance(verdict, (int, float)) and verdict == 0)


def prompt_and_response(conversation: Messages) -> tuple[str, str]:
    """The last assistant turn, and everything before it joined by blank lines."""
    before = "\n\n".join(message["content"] for message in conversation[:-1])
    return before, conversation[-1]["content"]


def _named(formats: Mapping[str, Layout], name: str) -> Layout:
    if name not in formats:
        raise UserError(f"there is no format {name!r}; there are auto, {', '.join(formats)}")
    return formats[name]

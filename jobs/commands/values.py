"""What the text of an option means: lists, names of fields, columns, quotas."""

import shlex
from collections.abc import Iterable

from instructmining.errors import UserError
from instructmining.layouts.field_names import split_names, unquoted, written

_LAYOUTS = ({"prompt", "response"}, {"turns", "role", "content"}, {"transcript"})


def listed(text: str) -> tuple[str, ...]:
    """The parts of a list separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def names_of(text: str) -> tuple[str, ...]:
    """The fields that an option lists, separated by commas; see `layouts.field_names`."""
    return tuple(map(unquoted, split_names(text)))


def name_of(text: str) -> str:
    """The one field that an option names."""
    return unquoted(text)


def columns_of(text: str) -> dict[str, str]:
    """`--columns`: what each field of the user is, or how the data name a speaker.

    Raises:
        UserError: a part has no equals sign, or the columns do not make up a conversation.
    """
    if any("=" not in part for part in split_names(text)):
        raise UserError(_with_quotes(text))
    parts = (part.partition("=") for part in split_names(text))
    columns = {key.strip(): unquoted(value.strip()) for key, _, value in parts}
    if not any(names <= set(columns) for names in _LAYOUTS) or not all(columns.values()):
        raise UserError(
            "--columns needs prompt=FIELD,response=FIELD, or turns=LIST,role=FIELD,"
            "content=FIELD, or transcript=FIELD,user=NAME,assistant=NAME"
        )
    return columns


def _with_quotes(text: str) -> str:
    """What to write where a part has no equals sign: mostly the rest of a name with a comma."""
    pairs: list[str] = []
    for part in text.split(","):
        if "=" in part or not pairs:
            pairs.append(part)
        else:
            pairs[-1] += f",{part}"
    named = (pair.partition("=") for pair in pairs)
    corrected = ",".join(f"{key.strip()}={written([value.strip()])}" for key, _, value in named)
    return (
        "--columns: each part is NAME=FIELD, and a field whose name holds a comma stands in double "
        f"quotes: --columns {shlex.quote(corrected)}"
    )


def quotas(texts: Iterable[str]) -> dict[str, float]:
    """`PATTERN=N` as a mapping; the pattern may hold an equals sign itself.

    Raises:
        UserError: one is not of that form.
    """
    limits = {}
    for text in texts:
        pattern, _, number = text.rpartition("=")
        try:
            limits[pattern] = float(number)
        except ValueError:
            pattern = ""
        if not pattern:
            raise UserError(f"--quota {text}: write it as PATTERN=NUMBER, such as 'alpaca*=500'")
    return limits


def shares(texts: Iterable[str]) -> dict[str, float]:
    """`STAGE=SHARE` as a mapping.

    Raises:
        UserError: one is not of that form, or a stage stands twice.
    """
    by_stage: dict[str, float] = {}
    for text in texts:
        stage, _, number = text.partition("=")
        try:
            share = float(number)
        except ValueError:
            stage = ""
        if not stage.strip() or stage.strip() in by_stage:
            raise UserError(
                f"--cascade {text}: write it as STAGE=SHARE, such as reward=0.05, each STAGE once"
            )
        by_stage[stage.strip()] = share
    return by_stage


def indicators_of(texts: Iterable[str]) -> dict[str, str]:
    """`NAME=COLUMN` as a mapping; NAME alone is a column of the same name.

    Raises:
        UserError: one has no name, or a name stands twice.
    """
    columns: dict[str, str] = {}
    for text in texts:
        name, equals, column = text.partition("=")
        column = unquoted(column.strip()) if equals else name.strip()
        if not name.strip() or not column or name.strip() in columns:
            raise UserError(f"--indicator {text}: write it as NAME=COLUMN, each NAME once")
        columns[name.strip()] = column
    return columns

"""The table of docs/formats.md that says which field is what, written from the names in use."""

from instructmining.layouts.dialogues import SYSTEMS
from instructmining.layouts.fields import (
    LAST_PROMPTS,
    OPTIONS,
    PARTS,
    PROMPTS,
    QUESTIONS,
    RESPONSES,
    SHORT,
    WORKED,
)
from instructmining.layouts.single_turn import HISTORIES

_ROWS = (
    ("system prompt", SYSTEMS, "goes first, unless the conversation begins with it"),
    (
        "earlier exchanges",
        HISTORIES,
        "a list of pairs of texts or of turns, or JSON of one in a cell",
    ),
    ("prompt", PROMPTS, "the first that is not blank"),
    (
        "prompt",
        ("definition",),
        "where `inputs` or `input` stands beside it and no `instruction`",
    ),
    (
        "prompt",
        LAST_PROMPTS,
        "only where the record has none of the names above; `source` first beside `target`, `user` "
        "first beside `assistant` or `reply`",
    ),
    (
        "joined to the prompt",
        PARTS,
        "in this order, each after a blank line; `inputs` only to an instruction or definition, "
        "`code` only with more than one word; from `passage` on only what is not in the prompt "
        "already, but for `input`",
    ),
    ("joined to an `instruction` or `definition`", QUESTIONS, "after those above"),
    (
        "options, joined last",
        OPTIONS,
        "a list, an object, a text, or columns `A`, `B`, … (also `option_a`, `opa`, `option1`): "
        "one a line, `A) text`; an answer that is a number beside options without letters counts "
        "from 0 and becomes the letter",
    ),
    (
        "response",
        RESPONSES,
        "the first that is not blank; `alpaca` prefers `output`, `dolly` prefers `response`",
    ),
    (
        "response",
        WORKED,
        f"before a shorter {' '.join(f'`{name}`' for name in SHORT)}, which is then kept in "
        "`occurrences.kept` under its name",
    ),
)
_AS_TEXT = (
    "A number becomes text as JSON writes it (whole ones without a fraction: `42`), `true` and "
    '`false` as they stand, a list as its elements, one a line, `{"text": [...]}` as its first. '
    "Null, blank text, `NaN`, `[]` and `{}` are nothing: they never hide a field that has text."
)


def field_table() -> str:
    """The table in Markdown, with the sentence on values that are not text."""
    lines = ["| is | fields | how |", "|---|---|---|"]
    for what, names, how in _ROWS:
        lines.append(f"| {what} | {' '.join(f'`{name}`' for name in names)} | {how} |")
    return "\n".join([*lines, "", _AS_TEXT])

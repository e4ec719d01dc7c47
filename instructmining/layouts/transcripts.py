"""Conversations in one text, in which names and colons, or marks, open the turns."""

import functools
import re
from collections.abc import Mapping
from typing import NamedTuple

from instructmining.layouts.records import Messages, Unusable

# What a function returned is said by nobody else, whatever speakers the user names.
RESULTS = ("FUNCTION RESPONSE", "FUNCTION RESULT", "TOOL RESPONSE", "TOOL RESULT")
END_MARKS = ("<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "</s>")
_SYSTEM = re.compile(r"\A\s*system:\s*", re.IGNORECASE)


class _Style(NamedTuple):
    hint: str  # a text without it is not of this style
    opening: re.Pattern[str]  # of a turn; group 1 names the speaker
    roles: Mapping[str, str]


_UPPER = {"SYSTEM": "system", "USER": "user", "ASSISTANT": "assistant"}
_HH = {"System": "system", "Human": "user", "Assistant": "assistant"}
_STYLES = (
    _Style("Assistant:", re.compile(r"(?:\A\s*|\n\n)(System|Human|Assistant):"), _HH),
    _Style(
        "\nAssistant:",
        re.compile(r"(?:\A\s*|\n)(System|Human|User|Assistant):"),
        {**_HH, "User": "user"},
    ),
    _Style(
        "ASSISTANT:",
        re.compile(rf"(?:\A|\s|</s>)(SYSTEM|USER|ASSISTANT|{'|'.join(RESULTS)}):"),
        {**_UPPER, **dict.fromkeys(RESULTS, "tool")},
    ),
    _Style(
        "### Assistant:",
        re.compile(r"### (System|Human|User|Assistant):"),
        {**_HH, "User": "user"},
    ),
    _Style(
        "<|im_start|>assistant",
        re.compile(r"<\|im_start\|>(system|user|assistant|tool)\b"),
        {name: name for name in ("system", "user", "assistant", "tool")},
    ),
    _Style(  # Llama 3
        "<|start_header_id|>assistant",
        re.compile(
            r"(?:<\|begin_of_text\|>)?\s*<\|start_header_id\|>(system|user|assistant|ipython)"
            r"<\|end_header_id\|>"
        ),
        {"system": "system", "user": "user", "assistant": "assistant", "ipython": "tool"},
    ),
    _Style(  # Gemma
        "<start_of_turn>model",
        re.compile(r"(?:<bos>)?\s*<start_of_turn>(user|model)\b"),
        {"user": "user", "model": "assistant"},
    ),
    _Style(  # Zephyr, TinyLlama, Phi-3
        "<|assistant|>",
        re.compile(r"<\|(system|user|assistant)\|>"),
        {name: name for name in ("system", "user", "assistant")},
    ),
)


def transcript(spoken: str, markers: Mapping[str, str]) -> Messages | None:
    """Messages of a text in which a speaker's name and a colon open each turn.

    Marks that end a text (`<|endoftext|>`, `</s>`) are not part of a turn.

    Args:
        spoken: the whole conversation.
        markers: names to roles; a name counts where the text or a line begins.

    Returns:
        None where no name is found.

    Raises:
        Unusable: words stand before the first name.
    """
    return _split(spoken, _openings(tuple(markers)), markers)


def spoken_turns(text: str) -> Messages | None:
    """The turns of a text in a usual style: Anthropic's, Vicuna's and Glaive's, Guanaco's, or with
    the marks of ChatML, Llama 3, Gemma or Zephyr.

    Returns:
        None unless the text begins with a speaker and both a user and an assistant speak, if only
        to begin the last turn.
    """
    bare = text.lstrip()
    for style in _STYLES:
        if style.hint not in text or not style.opening.match(bare):
            continue
        turns = _split(text, style.opening, style.roles)
        if turns and {"user", "assistant"} <= {turn["role"] for turn in turns}:
            return turns
    return None


def asked_turns(prompt: str) -> Messages | None:
    """The turns of a prompt that is a transcript up to where the assistant is to speak."""
    turns = spoken_turns(prompt)
    if turns and turns[-1]["role"] == "assistant" and not turns[-1]["content"]:
        turns = turns[:-1]
    return turns if turns and turns[-1]["role"] in ("user", "tool") else None


def without_name(system: str) -> str:
    """A system prompt without the `SYSTEM:` that opens it in a transcript."""
    return _SYSTEM.sub("", system)


def _split(text: str, opening: re.Pattern[str], roles: Mapping[str, str]) -> Messages | None:
    preamble, *pieces = opening.split(text)
    if not pieces:
        return None
    if re.search(r"\w", preamble):
        raise Unusable("unknown_role", f"the transcript begins with no speaker: {preamble[:80]!r}")
    return [
        {"role": roles[name], "content": _without_end(said)}
        for name, said in zip(pieces[::2], pieces[1::2], strict=True)
    ]


def _without_end(said: str) -> str:
    """A turn without white space around it and the marks at its end."""
    said = said.strip()
    end = len(said)
    while True:
        mark = next((ending for ending in END_MARKS if said.endswith(ending, 0, end)), None)
        if mark is None:
            return said[:end]
        end -= len(mark)
        while end and said[end - 1].isspace():
            end -= 1


@functools.lru_cache(maxsize=32)
def _openings(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?:\A\s*|\n)[ \t]*({'|'.join(map(re.escape, names))})[ \t]*:")

"""Which texts of a record are in its examples, and which no layout has read.

The texts of a record are compared with those of what was made of it, so that it holds for every
layout, whatever a layout looks at.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from instructmining.layouts.records import NESTED, OBJECT, Messages
from instructmining.layouts.turn_lists import ROLES, SPEAKERS, parsed
from instructmining.snippets import snippet
from instructmining.turns.one_turn import MARKS, is_block_type

_NESTED = (str, list, *OBJECT)
_SHOWN = 80  # characters of an instance
_PART_MARKS = frozenset((*MARKS, "train_detail", "train_on"))
_LONG = 20  # characters from which a text within another is not an accident
_SOUGHT = 500  # texts of a record that are looked for within others; more are named unlooked
_SCANNED = 10_000_000  # characters that are scanned in vain for turns that are not there
# What is left of a transcript when its turns are taken away.
_MARKS = {
    *("s", "bos", "endoftext", "im_start", "im_end", "begin_of_text", "start_header_id"),
    *("end_header_id", "eot_id", "start_of_turn", "end_of_turn", "end"),
    *("function", "response", "result"),
}


class Example:
    """The texts that the conversations of a record hold.

    Args:
        conversations: all of the record.
        beside: texts that are kept beside them, such as ids and columns.
        speakers: names of speakers that the user gave.
        role_field: the user's name of the field of a turn that says who speaks.
    """

    def __init__(
        self,
        conversations: Iterable[Messages],
        beside: Iterable[str] = (),
        speakers: Iterable[str] = (),
        role_field: str = "role",
    ) -> None:
        self._talks = [_said(messages) for messages in conversations]
        said = dict.fromkeys(beside, "kept")
        for talk in self._talks:
            said.update(talk)
        self._texts = {text.strip(): role for text, role in said.items()}
        self.said = set(said)  # the texts as they stand, and what blank lines part
        for text in said:
            if "\n\n" in text:
                self.said.update(text.split("\n\n"))
        self._speakers = {name.strip().lower() for name in speakers}
        self._role_fields = {*SPEAKERS, role_field.lower()}
        self._whole: str | None = None
        self._lines: set[str] = set()
        self._sought = 0

    def place_of(self, key: str, text: str) -> str | None:
        """Whose words a text of a record is, or `kept`, or `speaker`; None: it was not read."""
        bare = text.strip()
        if bare in self._texts:
            return self._texts[bare]
        if not self.has(key, text):
            return None
        roles = (role for whole, role in self._texts.items() if bare in whole)
        return next(roles, "speaker")

    def has(self, key: str, text: str) -> bool:
        """Whether a text of a record was read.

        It is one of the example's texts, whole lines of one, an option, long and within one, or
        the name of a speaker.
        """
        bare = text.strip()
        if bare in self._texts:
            return True
        if self._speakers and bare.lower() in self._speakers:
            return True
        if key.lower() in self._role_fields and bare.lower() in ROLES:
            return True
        if self._whole is None:
            self._whole = "\n" + "\n".join(self._texts) + "\n"
            self._lines = set(_lines(self._whole))
        if len(bare) < _LONG and "\n" not in bare:
            return bare in self._lines
        self._sought += 1
        if self._sought > _SOUGHT:
            return False
        return (bare if len(bare) >= _LONG else f"\n{bare}\n") in self._whole

    def tells(self, text: str) -> bool:
        """Whether the text is a transcript of one of the conversations."""
        bare = text.strip()
        return len(bare) >= _LONG and any(self._told(bare, talk) for talk in self._talks)

    def _told(self, text: str, talk: list[tuple[str, str]]) -> bool:
        """Whether the turns stand in the text in order, and names and marks alone between them."""
        between = []
        at = missed = 0
        for turn in (said.strip() for said, _ in talk):
            place = text.find(turn, at)
            if place >= 0:
                between.append(text[at:place])
                at = place + len(turn)
            else:
                missed += len(text) - at
                if missed > _SCANNED:
                    return False
        between.append(text[at:])
        rest = set(re.findall(r"\w+", " ".join(between).lower()))
        names = {word for name in self._speakers for word in re.findall(r"\w+", name)}
        return at > 0 and rest <= ROLES.keys() | _MARKS | names


def holds_all(record: Any, conversations: Iterable[Messages]) -> bool:
    """Whether the record is flat and each of its texts is a text of the conversations, or in one.

    Most records are so, and nothing else has to be compared.
    """
    if not isinstance(record, dict):
        return False
    contents = [message["content"] for messages in conversations for message in messages]
    for value in record.values():
        if isinstance(value, str):
            if not value or value in contents:
                continue
            is_long = len(value.strip()) >= _LONG
            if not (is_long and any(value in content for content in contents)):
                return False
        elif isinstance(value, NESTED):
            return False
    return True


def unread(record: Any, example: Example, read: Collection[str] = ()) -> dict[str, str]:
    """The fields with text that is not in the example, each with one instance, cut.

    Args:
        record: as it was parsed.
        example: what was made of it.
        read: paths of fields that are read for something else, without places in lists.

    Returns:
        Paths of fields, those in lists with `[]`, as in `messages[].name`.
    """
    fields: dict[str, str] = {}
    waiting = [(record, "")]
    while waiting:
        value, above = waiting.pop()
        for name, key, text in texts(value, above, "", example.said):
            if name in fields or example.has(key, text) or _is_below(name, read):
                continue
            if key == "type" and is_block_type(text):
                continue
            inner = parsed(text)  # a cell may hold JSON
            if isinstance(inner, (list, *OBJECT)):
                waiting.append((inner, name))
            elif not example.tells(text):
                fields.setdefault(_printable(name), shown(text))
    return fields | _marks_of_parts(record)


def _marks_of_parts(record: Any) -> dict[str, str]:
    """Marks that a part of a turn alone is to be learnt: such a turn is measured whole.

    They are lists for the tokens or characters of a turn, as axolotl's `train_detail`.
    """
    marks: dict[str, str] = {}
    lists = record.items() if isinstance(record, dict) else [("", record)]
    for name, turns in lists:
        for turn in turns if isinstance(turns, list) else ():
            for key, value in turn.items() if isinstance(turn, dict) else ():
                if isinstance(value, list) and key.lower() in _PART_MARKS and _differ(value):
                    marks.setdefault(_printable(f"{name}[].{key}"), shown(json.dumps(value)))
    return marks


def _differ(marks: list[Any]) -> bool:
    return any(isinstance(mark, dict) or mark != marks[0] for mark in marks)


def texts(
    value: Any, name: str = "", key: str = "", but: Collection[str] = ()
) -> Iterator[tuple[str, str, str]]:
    """Path, last name and text of every text of a record that is neither blank nor one of `but`.

    Names of roles are left out: they are read as what they are.
    """
    waiting = [(value, name, key)]
    while waiting:
        value, name, key = waiting.pop()
        if isinstance(value, str):
            if value and not value.isspace():
                yield name, key, value
        elif isinstance(value, OBJECT):
            above = f"{name}." if name else ""
            for inner_key, inner in list(value.items())[::-1]:
                if isinstance(inner, str) and (
                    inner in but or (inner_key in SPEAKERS and inner in ROLES)
                ):
                    continue  # most texts of a record are those of its turns
                if isinstance(inner, _NESTED):
                    waiting.append((inner, f"{above}{inner_key}", inner_key))
        elif isinstance(value, list):
            inside = f"{name}[]"
            again = f".{key}[]"
            if inside.endswith(f"{key}[]{again}"):  # replies to replies are one field
                inside = inside[: -len(again)]
            waiting += [(inner, inside, key) for inner in reversed(value)]


def shown(text: str, characters: int = _SHOWN) -> str:
    """A text on one line of at most this many characters."""
    return _printable(snippet(text[: 2 * characters], characters))


def _said(messages: Messages) -> list[tuple[str, str]]:
    """Every text of the messages with the role that says it."""
    said = []
    for message in messages:
        role = message["role"]
        said.append((message["content"], role))
        if len(message) > 2:  # it holds more than a role and a content
            inner = {name: value for name, value in message.items() if name != "content"}
            said += [(text, role) for name, _, text in texts(inner) if name != "role"]
    return said


def _lines(whole: str) -> Iterator[str]:
    """The lines of a text; of options also the letter and the text alone."""
    for line in whole.split("\n"):
        yield line.strip()
        if ") " in line[:4]:
            yield from map(str.strip, line.split(") ", 1))


def _is_below(name: str, paths: Collection[str]) -> bool:
    if not paths:
        return False
    bare = f"{name.replace('[]', '')}."
    return any(bare.startswith(f"{path}.") for path in paths)


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()  # a lone surrogate is not text

"""Whether a text holds an example, however it is written: JSON, JSON in JSON, CSV, HTML, cut."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

HOLDS = "holds it"
MAY_HOLD = "may hold it"

_LONG = 40  # characters: fewer stand in another text by chance ("a" and "b", "Hi" and "Hello!")
_ESCAPE = re.compile(
    r"\\+(?:u([0-9a-fA-F]{4})|U(000[0-9a-fA-F]{5}|0010[0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|[nrtbf])"
)
_ENTITY = re.compile(r"&(?:amp;)*(?:(amp|lt|gt)|quot|apos|#0*3[49]|#[xX]2[27]);")
_CHARACTERS = {"amp": "&", "lt": "<", "gt": ">"}
_UNWRITTEN = re.compile(r"[\s\"'\\]+")  # what one way of writing adds and another leaves out
_SURROGATE = re.compile("[\ud800-\udfff]")
_HALF_ESCAPE = re.compile(r"\\+(?:u[0-9a-fA-F]{0,3}|U[0-9a-fA-F]{0,7}|x[0-9a-fA-F]?)?$")
_CLOSING = "}]).…,"  # what stands after a text that was cut


def plain(text: str) -> str:
    r"""The text without what depends on how it is written down.

    Escapes of JSON and Python (`\u00e9`, `\xe9`, `\U0001f600`; of any depth, as in JSON inside
    JSON) and entities of HTML become their characters. Whitespace, quotes and backslashes go, and
    the letters n, r, t, b and f after a backslash with them. One text gives the same result in
    every way of writing; two texts give the same only if they differ in nothing else.
    """
    text = _ESCAPE.sub(_unescaped, text)
    if _SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = _ENTITY.sub(lambda entity: _CHARACTERS.get(entity[1], ""), text)
    return _UNWRITTEN.sub("", text)


@dataclass(frozen=True)
class Trace:
    """What of one example can be seen in another text; all as `plain` gives it.

    Attributes:
        example_id: of the table examples.
        texts: of every turn that has one, as a whole.
        heads: the beginnings of prompt and response, as shortened lines show them.
        own: those of `texts` that are long and that no other example has.
    """

    example_id: str
    texts: tuple[str, ...]
    heads: tuple[str, str]
    own: tuple[str, ...]

    @classmethod
    def of(cls, example_id: str, turns: Sequence[str], shared: Collection[str] = ()) -> "Trace":
        """The trace of an example.

        Args:
            example_id: of the table examples.
            turns: the text of each turn, the response last.
            shared: texts that other examples have as well.
        """
        own = (plain(turn) for turn in turns if turn not in shared)
        return cls(
            example_id,
            tuple(filter(None, map(plain, turns))),
            (_head("\n\n".join(turns[:-1])), _head(turns[-1])),
            tuple(text for text in own if len(text) >= _LONG),
        )

    def fills(self, content: str) -> bool:
        """Whether a plain content has every turn from end to end, and not by chance."""
        is_sure = all(self.heads) and sum(map(len, self.texts)) >= _LONG
        return is_sure and all(text in content for text in self.texts)

    def fills_or_owns(self, content: str) -> bool:
        """Whether a plain content has every turn, or one that no other example has."""
        return self.fills(content) or any(text in content for text in self.own)

    def may_be_in(self, content: str) -> bool:
        """Whether a plain content has both heads, the response, or ends inside one of the texts."""
        return (
            (all(self.heads) and all(head in content for head in self.heads))
            or any(len(text) >= _LONG and text in content for text in self.texts[-1:])
            or any(_ends_inside(content, text) for text in self.texts)
        )


def verdict(content: str, traces: Iterable[Trace]) -> str:
    """`holds it` if the content has the whole of every turn of an example, else `may hold it`.

    Beginnings that agree prove nothing: many examples share their first words.

    Returns:
        An empty string where no example is seen.
    """
    return _verdict(content, traces, Trace.fills)


def verdict_of_record(raw: str, traces: Iterable[Trace]) -> str:
    """The same for one quarantined record, which may be cut: one whole turn is proof too.

    That turn is long, and no other example has it.
    """
    return _verdict(raw, traces, Trace.fills_or_owns)


def _verdict(content: str, traces: Iterable[Trace], is_proof: Callable[[Trace, str], bool]) -> str:
    content = plain(_HALF_ESCAPE.sub("", content))
    traces = list(traces)
    if any(is_proof(trace, content) for trace in traces):
        return HOLDS
    return MAY_HOLD if any(trace.may_be_in(content) for trace in traces) else ""


def _head(text: str) -> str:
    return plain(" ".join(text.split())[:_LONG])


def _ends_inside(content: str, text: str) -> bool:
    """Whether a content ends with the beginning of a text, as a record does that was cut in it."""
    content = content.rstrip(_CLOSING)
    end = content[-_LONG:]
    start = text.find(end)
    return len(end) == _LONG and start >= 0 and content.endswith(text[: start + _LONG])


def _unescaped(escape: re.Match[str]) -> str:
    if code := escape[1] or escape[2]:
        return chr(int(code, 16))
    return bytes.fromhex(escape[3]).decode("cp1252", "replace") if escape[3] else ""

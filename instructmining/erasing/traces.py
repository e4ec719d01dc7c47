"""Whether a text holds an example: as it is, or as JSON, HTML and shortened lines write it."""

import html
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_HEAD = 40  # characters: what a shortened line still shows
_WHOLE = 40  # a response of so many characters is nobody else's
_SURE = 40  # characters of both texts: "a" and "b", "Hi" and "Hello!" are in most files by chance

Forms = tuple[str, ...]  # a text in the ways in which it may be written


@dataclass(frozen=True)
class Trace:
    """How one example may be written; a content that has both heads, or the response, holds it.

    Attributes:
        example_id: of the table examples.
        heads: of the prompt and of the response, as shortened lines show them.
        texts: both as a whole.
        is_sure: the texts are long enough that a content does not have them by chance.
    """

    example_id: str
    heads: tuple[Forms, Forms]
    texts: tuple[Forms, Forms]
    is_sure: bool

    @classmethod
    def of(cls, example_id: str, prompt: str, response: str) -> "Trace":
        """The trace of an example."""
        heads = _written(prompt, _HEAD), _written(response, _HEAD)
        sure = len(prompt.strip()) + len(response.strip()) >= _SURE
        return cls(example_id, heads, (_written(prompt), _written(response)), sure)

    def is_in(self, content: str) -> bool:
        """Whether the content holds the example."""
        response = (form for form in self.texts[1] if len(self.texts[1][0]) >= _WHOLE)
        return _has_all(content, self.heads) or any(form in content for form in response)

    def fills(self, line: str) -> bool:
        """Whether a line holds both texts from end to end, and not by chance."""
        return self.is_sure and _has_all(line, self.texts)


def held(content: str, traces: Iterable[Trace]) -> list[str]:
    """The ids of the examples that a content holds."""
    return [trace.example_id for trace in traces if trace.is_in(content)]


def verdict(content: str, traces: Iterable[Trace]) -> str:
    """`holds it`, `may hold it` where the texts are too short to tell, or nothing."""
    found = [trace.is_sure for trace in traces if trace.is_in(content)]
    return "" if not found else "holds it" if any(found) else "may hold it"


def _has_all(content: str, texts: Iterable[Forms]) -> bool:
    return all(any(form in content for form in forms) for forms in texts)


def _written(text: str, length: int | None = None) -> Forms:
    if not text.strip():
        return ()
    return tuple(
        dict.fromkeys(
            form
            for given in (text.strip(), " ".join(text.split()))
            for form in _forms(given[:length].rstrip())
        )
    )


def _forms(text: str) -> Iterator[str]:
    yield text
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield json.dumps(text)[1:-1]
    yield html.escape(text)
    yield html.escape(text, quote=False)
    yield html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")  # as Jinja does

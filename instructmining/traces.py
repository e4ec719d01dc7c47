"""Whether a text holds an example: as it is, or as JSON, HTML and shortened lines write it."""

import html
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_HEAD = 40  # characters: what a shortened line still shows
_WHOLE = 40  # a response of so many characters is nobody else's


@dataclass(frozen=True)
class Trace:
    """How one example may be written; a content that has both heads, or the response, holds it."""

    example_id: str
    prompt_heads: tuple[str, ...]
    response_heads: tuple[str, ...]
    responses: tuple[str, ...]

    @classmethod
    def of(cls, example_id: str, prompt: str, response: str) -> "Trace":
        """The trace of an example."""
        whole = response if len(response) >= _WHOLE else ""
        return cls(example_id, _written(prompt, _HEAD), _written(response, _HEAD), _written(whole))

    def is_in(self, content: str) -> bool:
        """Whether the content holds the example."""
        heads = all(any(form in content for form in forms)
                    for forms in (self.prompt_heads, self.response_heads))  # fmt: skip
        return heads or any(form in content for form in self.responses)


def held(content: str, traces: Iterable[Trace]) -> list[str]:
    """The ids of the examples that a content holds."""
    return [trace.example_id for trace in traces if trace.is_in(content)]


def _written(text: str, length: int | None = None) -> tuple[str, ...]:
    if not text.strip():
        return ()
    return tuple(dict.fromkeys(form for given in (text.strip(), " ".join(text.split()))
                               for form in _forms(given[:length].rstrip())))  # fmt: skip


def _forms(text: str) -> Iterator[str]:
    yield text
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield json.dumps(text)[1:-1]
    yield html.escape(text)
    yield html.escape(text, quote=False)
    yield html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")  # as Jinja does

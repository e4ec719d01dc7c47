"""Response selection: what a model chooses from where a prompt has no options of its own.

As in the evaluation of dialogue models, which choose the next turn among candidates (Lowe et al.
2015, arXiv 1506.08909). The others are near in length, so that length says nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

OPTIONS = 4  # the own response among them: chance is a quarter


def response_options(responses: Sequence[str]) -> list[tuple[str, ...]]:
    """Each response, first, and the three others of the set that are nearest to it in length.

    Fewer where the set has fewer that differ from it.
    """
    by_length = sorted(range(len(responses)), key=lambda i: (len(responses[i]), i))
    options: list[tuple[str, ...]] = [()] * len(responses)
    for place, i in enumerate(by_length):
        near = (responses[by_length[other]] for other in _around(place, len(responses)))
        options[i] = tuple(islice(_distinct(near), OPTIONS))
    return options


def _around(place: int, count: int) -> Iterator[int]:
    """All places, the nearest first: place, place − 1, place + 1, place − 2, …"""
    yield place
    for step in range(1, count):
        yield from (other for other in (place - step, place + step) if 0 <= other < count)


def _distinct(texts: Iterable[str]) -> Iterator[str]:
    seen = set()
    for text in texts:
        if text not in seen:
            seen.add(text)
            yield text

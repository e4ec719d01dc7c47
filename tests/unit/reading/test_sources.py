"""When a source is known well enough to be recognised as unchanged, and how counts add up."""

from datetime import UTC, datetime

import pytest

from instructmining.reading.folders import Input
from instructmining.reading.sniffing import Kind
from instructmining.reading.sources import SourceCounts, states

BEGAN = datetime(2024, 6, 7, 12, 0, 0, 500_000, tzinfo=UTC)
NOW = int(BEGAN.timestamp() * 1_000)


def state_of(changed: int, container: str = "lines", half: str | None = None) -> str | None:
    given = Input("/data/a.jsonl", Kind(container, half=half), 12, changed)
    return states(None, [given], BEGAN).get("/data/a.jsonl")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "is_known"),
    [
        (NOW - 60_001, True),
        (NOW - 60_500, True),  # on the second
        (NOW - 21, True),
        (NOW - 19, False),  # the same millisecond may see another change
        (NOW - 1_500, False),  # on the second: a file system that counts seconds
        (NOW - 2_500, True),
        (NOW + 5, False),  # the clocks differ
        (0, False),  # not known
    ],
)
def test_a_file_that_changed_just_now_has_no_state(changed: int, is_known: bool) -> None:
    assert (state_of(changed) is not None) == is_known


def test_the_state_tells_size_and_time_apart() -> None:
    one, other = (Input("/a", Kind("lines"), size, NOW - 90_001) for size in (12, 13))
    later = Input("/a", Kind("lines"), 12, NOW - 90_002)
    found = [states(None, [each], BEGAN)["/a"] for each in (one, other, later)]  # type: ignore[arg-type]
    assert len(set(found)) == 3


def test_halves_and_sources_that_are_named_twice_have_no_state() -> None:
    assert state_of(NOW - 90_001, half="answers") is None
    twice = [Input("/a", Kind("lines"), 12, NOW - 90_001, named="hub") for _ in range(2)]
    assert states(None, twice, BEGAN) == {}  # type: ignore[arg-type]


def test_counts_of_sources_add_up() -> None:
    one = SourceCounts(5, 6, 3, 1, 0, {"no_response": 2})
    other = SourceCounts(4, 4, 1, 0, 2, {"no_response": 1, "damaged_file": 2})
    both = one + other
    assert (both.rows, both.records, both.usable, both.media, both.tools) == (9, 10, 4, 1, 2)
    assert both.quarantined == {"no_response": 3, "damaged_file": 2}
    assert both.rows == both.usable + sum(both.quarantined.values())
    assert one.is_whole
    assert not other.is_whole

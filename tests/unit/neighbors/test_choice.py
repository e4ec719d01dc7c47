"""Which way neighbours are searched, by size, memory and settings; sizes are worked out by hand."""

from typing import Any

import pytest

from instructmining.errors import UserError
from instructmining.settings.sections import Knn
from udfs.neighbors.choice import Driver, bytes_of_index, choose

GIB = 2**30
PLENTY = 2**50
SMALL = Driver(8 * GIB, 64)


@pytest.mark.parametrize(
    ("rows", "width", "room", "settings", "way"),
    [
        (200_000, 384, PLENTY, {}, "exact"),
        (200_000, 384, 200_000 * 4 * 384, {}, "cells"),  # beside the vectors there are ids
        (200_001, 384, PLENTY, {"cells_beyond": 200_001}, "graph"),
        (200_001, 384, PLENTY, {"cells_beyond": 200_000}, "cells"),
        (50, 384, PLENTY, {"cells_beyond": 0}, "cells"),
        (50, 384, 0, {"cells_beyond": 0}, "cells"),
        (5_000_000, 384, PLENTY, {"device": "cuda"}, "exact"),
        (5_000_000, 384, 6 * GIB, {"device": "cuda"}, "cells"),
        (5_000_000, 384, PLENTY, {"exact_up_to": 5_000_000}, "exact"),
        # 3,072 bytes of two vectors, and less than 500 of id and links: 1,000,000 need 3.2 GiB
        (1_000_000, 384, 4 * GIB, {"cells_beyond": 20_000_000}, "graph"),
        (1_000_000, 384, 2 * GIB, {"cells_beyond": 20_000_000}, "cells"),
        (1_000_000, 384, 2 * GIB, {"exact_up_to": 1_000_000}, "exact"),
    ],
)
def test_the_way_follows_the_size_the_memory_and_the_settings(
    rows: int, width: int, room: int, settings: dict[str, Any], way: str
) -> None:
    assert choose(rows, width, Driver(room, 64), Knn(**settings)).way == way


def test_a_graph_needs_its_vectors_twice_and_its_links() -> None:
    vectors = 1_000_000 * 384 * 4
    assert vectors < bytes_of_index(1_000_000, 384, exact=True) < 1.1 * vectors
    links = 1_000_000 * 64 * 4  # 32 both ways on the floor of the graph
    assert 2 * vectors + links < bytes_of_index(1_000_000, 384, exact=False) < 2.4 * vectors


def test_the_reason_of_a_pool_that_does_not_fit_has_both_sizes() -> None:
    reason = choose(40_000_000, 1024, Driver(64 * GIB, 64), Knn()).reason
    assert "over 40,000,000 vectors of 1024 numbers needs 320." in reason
    assert reason.endswith("which has 64.0 GiB for it")


def test_all_pairs_that_were_asked_for_and_do_not_fit_are_refused_with_the_setting() -> None:
    with pytest.raises(UserError, match=r"needs 1[45]\.\d GiB .* 8\.0 GiB .* set knn\.exact_up_to"):
        choose(10_000_000, 384, SMALL, Knn(exact_up_to=10_000_000))
    assert choose(10_000_001, 384, SMALL, Knn(exact_up_to=10_000_000)).way == "cells"


@pytest.mark.parametrize(
    ("cores", "settings", "way"),
    [(2, {}, "cells"), (4, {}, "graph"), (2, {"cells_beyond": 20_000_000}, "graph")],
)
def test_a_graph_that_a_few_cores_would_build_for_more_than_an_hour_is_not_built(
    cores: int, settings: dict[str, Any], way: str
) -> None:
    # 10 million rows at a thousandth of a second each are three hours of one core.
    assert choose(10_000_000, 384, Driver(PLENTY, cores), Knn(**settings)).way == way

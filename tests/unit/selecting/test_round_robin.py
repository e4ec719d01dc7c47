"""Turns among targets, against the same said in the plainest way."""

from hypothesis import given
from hypothesis import strategies as st

from instructmining.selecting.round_robin import Near, round_robin


def lists_of(similarities: list[list[int]]) -> list[list[Near]]:
    """Each target's rows, most alike first, ties by id."""
    return [
        sorted(
            (Near(f"{row:03}", value / 10) for row, value in enumerate(values)),
            key=lambda near: (-near.similarity, near.example_id),
        )
        for values in similarities
    ]


def plainly(lists: list[list[Near]], size: int) -> list[Near]:
    """Ask each target in turn for its best row that is left."""
    taken: list[Near] = []
    rows = len(lists[0])
    while len(taken) < min(size, rows):
        for target in lists:
            left = [near for near in target if near.example_id not in {t.example_id for t in taken}]
            if left and len(taken) < size:
                taken.append(left[0])
    return taken


pools = st.integers(1, 12).flatmap(
    lambda rows: st.lists(
        st.lists(st.integers(-3, 10), min_size=rows, max_size=rows), min_size=1, max_size=5
    )
)


@given(pools, st.integers(1, 15))
def test_each_target_in_turn_takes_its_best_row_that_is_left(similarities, size):
    lists = lists_of(similarities)
    turns = round_robin(lists, size)
    assert turns.taken == plainly(lists, size)
    assert len({near.example_id for near in turns.taken}) == len(turns.taken)


@given(pools, st.integers(1, 15), st.integers(1, 6))
def test_a_list_that_was_cut_either_suffices_or_says_that_it_ended(similarities, size, kept):
    lists = lists_of(similarities)
    cut = round_robin([rows[:kept] for rows in lists], size)
    assert cut.ended or cut.taken == round_robin(lists, size).taken

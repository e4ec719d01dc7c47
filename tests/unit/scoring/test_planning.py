"""How a pool is cut into chunks: nothing twice, nothing left, the same after an interruption."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from instructmining.identity import BUCKETS
from instructmining.store.planning import plan, rows_in

buckets = st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(1, 50), max_size=60)


@given(buckets, st.integers(1, 200))
def test_chunks_hold_every_pending_row_once_and_no_more_than_was_asked_for(sizes, chunk_rows):
    chunks = plan(sizes, sizes, chunk_rows)
    assert sum(chunk.rows for chunk in chunks) == sum(sizes.values())
    for before, after in itertools.pairwise(chunks):
        assert before.high <= after.low
    for chunk in chunks:
        inside = [sizes[bucket] for bucket in sizes if chunk.low <= bucket < chunk.high]
        assert sum(inside) == chunk.rows
        assert chunk.rows <= chunk_rows or len(inside) == 1  # one bucket is never cut


@given(buckets, st.integers(1, 200), st.data())
def test_a_resumed_run_measures_in_the_groups_of_an_undisturbed_one(sizes, chunk_rows, data):
    whole = plan(sizes, sizes, chunk_rows)
    done = data.draw(st.sets(st.sampled_from(sorted(sizes))) if sizes else st.just(set()))
    left = {bucket: size for bucket, size in sizes.items() if bucket not in done}
    resumed = plan(sizes, left, chunk_rows)
    assert {(chunk.low, chunk.high) for chunk in resumed} <= {
        (chunk.low, chunk.high) for chunk in whole
    }
    assert sum(chunk.rows for chunk in resumed) == sum(left.values())
    assert len({chunk.low for chunk in resumed}) == len(resumed)


@given(buckets)
def test_a_pool_that_is_measured_has_no_chunk(sizes):
    assert plan(sizes, {}, 100) == []


@given(buckets)
def test_one_large_chunk_is_all_buckets(sizes):
    chunks = plan(sizes, sizes, sum(sizes.values()) + 1)
    assert [(chunk.low, chunk.high) for chunk in chunks] == [(0, BUCKETS)] * bool(sizes)


def test_a_version_tells_the_number_of_members():
    assert rows_in("12345-00ff00ff00ff00ff") == 12345

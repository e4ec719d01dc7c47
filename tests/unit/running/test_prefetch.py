"""Windows made ready by a thread, one ahead and never more."""

import threading
import time

import pyarrow as pa
import pytest
import tiny_models

from instructmining.models.lists import ModelSpec
from udfs.indicator import measured_windows
from udfs.indicators import resolve
from udfs.running.prefetch import prepared_ahead
from udfs.running.scorers import load_scorer


def test_the_next_item_is_prepared_while_one_is_used():
    begun = {item: threading.Event() for item in range(3)}

    def prepare(item):
        begun[item].set()
        return item

    seen = []
    for found in prepared_ahead(iter(range(3)), prepare):
        if found < 2:
            assert begun[found + 1].wait(10)
        seen.append(found)
    assert seen == [0, 1, 2]


def test_items_are_taken_by_the_caller_and_at_most_one_ahead():
    taken = []
    threads = set()

    def items():
        for item in range(5):
            taken.append(item)
            threads.add(threading.get_ident())
            yield item

    for found in prepared_ahead(items(), lambda item: item):
        assert len(taken) <= found + 2
    assert threads == {threading.get_ident()}
    assert list(prepared_ahead(iter([]), str)) == []


def test_what_the_thread_raises_arrives_in_its_turn():
    def prepare(item):
        if item == 1:
            raise ValueError("item 1")
        return item

    ahead = prepared_ahead(iter(range(3)), prepare)
    assert next(ahead) == 0
    with pytest.raises(ValueError, match="item 1"):
        next(ahead)
    assert list(ahead) == []


def test_a_caller_that_stops_early_leaves_no_thread():
    before = threading.active_count()
    ahead = prepared_ahead(iter(range(1000)), lambda item: time.sleep(0.01))
    next(ahead)
    ahead.close()
    assert threading.active_count() == before


def test_a_broken_source_does_not_hang():
    def items():
        yield 1
        raise OSError("the stream ended")

    ahead = prepared_ahead(items(), lambda item: item)
    with pytest.raises(OSError, match="the stream ended"):
        next(ahead)


@pytest.mark.parametrize(
    ("kind", "build", "more"),
    [
        ("causal_lm", tiny_models.llama, {"indicators": ("perplexity", "ifd")}),
        ("sequence_classifier", tiny_models.qwen3_reward, {"indicators": ("reward",)}),
        ("unieval", tiny_models.t5, {"indicators": ("naturalness", "coherence")}),
    ],
)
def test_prepared_in_a_thread_and_computed_here_is_what_measure_gives(tmp_path, kind, build, more):
    spec = ModelSpec(kind=kind, source=str(build(tmp_path)), **more)
    scorer = load_scorer(resolve(spec), "cpu", "float32")
    windows = [
        [
            [{"role": "user", "content": f"Why {i}?"}, {"role": "assistant", "content": "So " * i}]
            for i in range(first, first + 4)
        ]
        for first in (0, 4)
    ]
    tables = [pa.table({"messages": window}) for window in windows]
    ahead = measured_windows(scorer, iter(tables), ahead=True)
    for window, table, (same, found, spent) in zip(windows, tables, ahead, strict=True):
        assert same is table
        assert min(spent) > 0
        expected = scorer.measure(window)
        assert found.reasons == expected.reasons
        for name, values in expected.values.items():
            assert found.values[name] == pytest.approx(values, rel=1e-6, nan_ok=True)

"""What tasks report, added up."""

import pytest

from udfs.on_spark.audit import Window, imbalance, record, total, words
from udfs.running.batching import for_each_batch
from udfs.running.measurement import Work


def window(stage=1, partition=0, wanted=100, computed=110, retries=0, **other):
    given = {
        "attempt": 0,
        "host": "one",
        "process": 7,
        "device": "cpu",
        "addresses": "",
        "rows": 10,
        "seconds": 1.0,
        "cpu": 0.8,
        "loading": 0.0,
    } | other
    return Window(stage, partition, **given, work=Work(wanted, computed, 2, retries))


def test_the_imbalance_is_the_slowest_task_over_the_mean_of_its_chunk():
    even = [window(partition=0), window(partition=1)]
    assert imbalance(even) == 1
    uneven = [window(partition=0, wanted=300), window(partition=1, wanted=100)]
    assert imbalance(uneven) == pytest.approx(1.5)
    # The even chunk has 200 tokens, the uneven one 400.
    other = [each._replace(stage_id=2) for each in uneven]
    assert imbalance(even + other) == pytest.approx((200 + 600) / 600)
    assert imbalance([window(wanted=0, computed=0)]) is None


def test_two_windows_of_a_task_are_one_task():
    twice = [window(partition=0), window(partition=0), window(partition=1, wanted=200)]
    assert imbalance(twice) == 1


def test_the_summary_names_padding_gpus_and_retries():
    assert words([]) == ""
    assert words([window(wanted=0, computed=0)]) == ""
    assert words([window(), window(partition=1)]) == "10.0 % padding"
    gpus = [
        window(addresses="0", device="cuda:0"),
        window(addresses="1", device="cuda:0"),
        window(host="two", addresses="0", device="cuda:0", retries=3),
    ]
    assert words(gpus) == "10.0 % padding, 3 GPUs, 3 calls repeated"
    assert total(gpus) == Work(300, 330, 6, 3)


def test_the_record_is_flat():
    [row] = record([window(retries=1)])
    assert row["wanted"] == 100
    assert row["retries"] == 1
    assert "work" not in row


def test_batches_count_padding_and_what_is_tried_again():
    def compute(rows):
        if rows.size > 1:
            raise MemoryError

    done = for_each_batch([10, 10], 20, compute, [None, None])
    # Two rows together, then each alone under half the budget.
    assert done == Work(wanted=20, computed=40, batches=3, retries=1)
    assert for_each_batch([10, 6], 20, lambda rows: None, [None, None]).computed in (16, 20)

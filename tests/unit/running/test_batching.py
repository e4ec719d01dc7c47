"""Batches, padding and failing rows, on plain arrays."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from udfs.running.batching import for_each_batch, pad, token_batches

lengths_lists = st.lists(st.integers(0, 300), max_size=60)


@given(lengths_lists, st.integers(1, 1000))
def test_every_row_is_in_one_batch_and_no_batch_exceeds_the_budget(lengths, budget):
    batches = list(token_batches(lengths, budget))
    assert sorted(np.concatenate([*batches, np.array([], int)])) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) == 1 or len(rows) * max(lengths[r] for r in rows) <= budget


@given(lengths_lists, st.integers(1, 1000))
def test_rows_come_longest_first_and_ties_in_their_first_order(lengths, budget):
    order = [int(r) for rows in token_batches(lengths, budget) for r in rows]
    assert order == sorted(range(len(lengths)), key=lambda r: -lengths[r])


def test_a_batch_is_filled_up_to_the_budget():
    assert [list(rows) for rows in token_batches([2, 4, 4, 1], 8)] == [[1, 2], [0, 3]]


def test_padding_is_on_the_right_and_masked():
    ids, mask = pad([[5, 6, 7], [8]], pad_id=9)
    assert ids.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert ids.dtype == mask.dtype == np.int64


def test_a_failing_row_costs_only_itself():
    done = set()
    reasons = [None] * 6

    def compute(rows):
        if 3 in rows:
            raise ValueError("no such\ntoken")
        done.update(int(r) for r in rows)

    for_each_batch([4] * 6, 100, compute, reasons)
    assert done == {0, 1, 2, 4, 5}
    assert reasons == [None, None, None, "failed: ValueError: no such token", None, None]


FUNCTIONS = """
def words(conversations):
    answers = [each[-1]["content"] for each in conversations]
    if any(answer == "Всё" for answer in answers):
        raise ValueError("damaged")
    if len(answers) > 2:
        raise MemoryError("too many at once")
    return [len(answer.split()) for answer in answers]
"""
WITHOUT_TORCH = """
import json, sys
sys.modules["torch"] = None  # importing it raises ModuleNotFoundError, as where it is not installed
from instructmining.models.lists import ModelSpec
from udfs.indicators import resolve
from udfs.running.scorers import load_scorer
spec = ModelSpec(kind="python", function="functions:words", indicators=("words",))
answers = ["", "one two", "Всё", "一 二 三", "one"]
asked = [[{"role": "user", "content": "?"}, {"role": "assistant", "content": a}] for a in answers]
found = load_scorer(resolve(spec), "cpu", "float32").measure(asked)
print(json.dumps([[str(value) for value in found.values["words"]], found.reasons]))
"""


def test_a_failing_row_costs_only_itself_where_torch_is_not_installed(tmp_path, monkeypatch):
    (tmp_path / "functions.py").write_text(FUNCTIONS, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    values, reasons = json.loads(ran.stdout)
    assert values == ["0.0", "2.0", "nan", "3.0", "1.0"]
    assert reasons == [None, None, "failed: ValueError: damaged", None, None]


def test_only_the_chosen_rows_are_computed():
    seen = []
    for_each_batch([1, 2, 3, 4], 3, lambda rows: seen.append(rows.tolist()), [None] * 4, [3, 0, 1])
    assert seen == [[3], [1], [0]]


def test_a_batch_ends_where_rows_get_short_unless_it_is_still_small():
    batches = []
    lengths = [100, 99, 98, 50, 49, 8, 7, 6]
    for_each_batch(lengths, 1000, lambda rows: batches.append(rows.tolist()), [None] * 8)
    assert batches == [[0, 1, 2], [3, 4], [5, 6, 7]]


def test_out_of_memory_halves_the_budget_for_good():
    sizes = []

    def compute(rows):
        sizes.append(len(rows))
        if len(rows) * 10 > 40:
            raise torch.OutOfMemoryError("CUDA out of memory")

    reasons = [None] * 20
    for_each_batch([10] * 20, 160, compute, reasons)
    assert sizes == [16, 8, 4, 4, 4, 4, 4]
    assert reasons == [None] * 20


def test_a_single_row_that_does_not_fit_gets_a_reason():
    def compute(rows):
        if 1 in rows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        done.extend(rows.tolist())

    done = []
    reasons = [None] * 3
    for_each_batch([7, 9, 8], 27, compute, reasons)
    assert sorted(done) == [0, 2]
    assert reasons == [None, "failed: OutOfMemoryError: CUDA out of memory", None]


@pytest.mark.parametrize(
    "error",
    [
        "device-side assert triggered",
        "uncorrectable ECC error encountered",
        "an illegal instruction was encountered",
        "unknown error",
    ],
)
def test_a_broken_device_ends_the_task_instead_of_blanking_its_rows(error):
    def compute(rows):
        raise RuntimeError(f"CUDA error: {error}")

    with pytest.raises(RuntimeError, match=error):
        for_each_batch([1, 2], 10, compute, [None, None])

"""What a finetune holds in memory, as plain arithmetic that only grows with what it is given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructmining.models.shape import Shape
from udfs.finetuning.memory import activation_bytes, planned, training_bytes
from udfs.running.budget import LIBRARIES, LOGITS

GIB = 2**30
SHAPE = Shape(hidden=2048, inner=8192, layers=24, heads=16)
parameters = st.integers(10**6, 10**11)
widths = st.sampled_from([2, 4])


@given(parameters, st.sampled_from(["full", "lora"]), widths, st.integers(2, 16))
def test_processes_that_share_a_run_hold_a_part_each(count, adapter, width, processes):
    one = training_bytes(count, adapter, width)
    part = training_bytes(count, adapter, width, processes)
    assert part < one
    assert part * processes >= 0.9 * (one - count * width)


@given(st.integers(1, 10**5), widths)
def test_activations_grow_with_tokens_and_are_fewer_where_layers_are_computed_again(tokens, width):
    kept = activation_bytes(SHAPE, tokens, False, width)
    again = activation_bytes(SHAPE, tokens, True, width)
    assert kept == tokens * activation_bytes(SHAPE, 1, False, width)
    assert kept == 17 * SHAPE.layers * SHAPE.hidden * tokens * width
    assert again < kept / 8


@given(st.sampled_from(["full", "lora"]), st.integers(40 * GIB, 300 * GIB))
def test_a_plan_that_keeps_everything_fits_the_memory(adapter, memory):
    plan = planned(SHAPE, 1_400_000_000, adapter, 2, memory, None)
    used = training_bytes(1_400_000_000, adapter, 2) + LIBRARIES + LOGITS["cuda"]
    used += activation_bytes(SHAPE, plan.token_budget, plan.recomputes, 2)
    assert 1_024 <= plan.token_budget <= 65_536
    if plan.keeps_start:
        assert used < memory
    assert not (adapter == "full" and plan.recomputes)


@given(st.integers(1_024, 65_536), st.integers(8 * GIB, 300 * GIB))
def test_tokens_that_a_user_gives_are_taken_whatever_fits(tokens, memory):
    assert planned(SHAPE, 10**9, "lora", 2, memory, tokens).token_budget == tokens


@pytest.mark.parametrize("memory", [24 * GIB, 80 * GIB, 141 * GIB])
def test_more_memory_never_makes_a_plan_smaller(memory):
    small = planned(SHAPE, 10**9, "full", 2, memory, None)
    large = planned(SHAPE, 10**9, "full", 2, 2 * memory, None)
    assert large.token_budget >= small.token_budget
    assert large.keeps_start >= small.keeps_start

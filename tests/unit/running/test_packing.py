"""Rows in one pack give the numbers of padded rows and of rows alone; on a CPU, by a mask."""

from dataclasses import replace

import numpy as np
import pytest
import tiny_models
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from instructmining.models.lists import ModelSpec
from udfs.indicators.classifier import SequenceClassifierScorer
from udfs.indicators.perplexity import PerplexityScorer
from udfs.indicators.reward import GPTNeoXRewardScorer
from udfs.running.batching import for_each_batch, packed_tokens, token_packs
from udfs.running.measurement import Runtime
from udfs.running.packing import pack, packed_states, packs, padded_states

rows_of_ids = st.lists(
    st.lists(st.integers(1, 390), min_size=1, max_size=40), min_size=1, max_size=9
)
TALKS = [
    [
        {"role": "user", "content": f"Count to {n}. 数到{n}。"},
        {"role": "assistant", "content": " ".join(map(str, range(n)))},
    ]
    for n in (3, 25, 11, 18, 5, 9, 1, 14)
] + [[], [{"role": "assistant", "content": "Всё."}]]


@given(rows_of_ids, st.integers(8, 400))
def test_a_pack_holds_every_row_with_its_own_positions(rows, size):
    packed = pack(rows, size)
    total = sum(map(len, rows))
    assert packed.ids.shape == packed.positions.shape == (1, packed_tokens(total, size))
    for row, start in zip(rows, packed.starts, strict=True):
        assert packed.ids[0, start : start + len(row)].tolist() == row
        assert packed.positions[0, start : start + len(row)].tolist() == list(range(len(row)))
        assert {start, start + len(row)} <= set(packed.bounds.tolist())
    lengths = np.diff(packed.bounds)
    assert lengths.min() >= 0
    assert lengths.max() <= packed.longest < max(map(len, rows)) + 128
    assert lengths.sum() == packed.ids.size


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 1000))
def test_packs_hold_every_row_once_and_no_more_tokens_than_asked(lengths, size):
    taken = list(token_packs(lengths, size))
    assert sorted(np.concatenate([*taken, np.array([], int)])) == list(range(len(lengths)))
    for rows in taken:
        assert len(rows) == 1 or sum(lengths[row] for row in rows) <= size


def test_what_a_pack_computes_is_counted_with_its_padding():
    work = for_each_batch([60, 50, 40, 3], 100, lambda rows: None, [None] * 4, packed=True)
    assert (work.wanted, work.computed, work.batches) == (153, 60 + 96, 2)


@pytest.fixture(scope="module", params=["llama", "gpt2", "neox", "qwen3"])
def body(request, tmp_path_factory):
    folder = getattr(tiny_models, request.param)(tmp_path_factory.mktemp(request.param))
    model = AutoModelForCausalLM.from_pretrained(folder).eval().get_decoder()
    assert packs(model, "cpu")
    return model


@settings(max_examples=12, deadline=None)
@given(rows=rows_of_ids, size=st.integers(8, 400))
def test_packed_is_padded_is_one_row_at_a_time(body, rows, size):
    with torch.inference_mode():
        packed = packed_states(body, rows, "cpu", size)
        padded = padded_states(body, rows, "cpu")
        for i, row in enumerate(rows):
            alone = body(input_ids=torch.tensor([row])).last_hidden_state[0]
            for states in (packed, padded):
                own = states.hidden[states.starts[i] : states.starts[i] + len(row)]
                assert torch.allclose(own, alone, rtol=1e-3, atol=1e-4)


def test_a_model_with_another_attention_is_not_packed_and_stays_as_it_was(tmp_path):
    body = AutoModelForCausalLM.from_pretrained(tiny_models.gemma2(tmp_path)).eval().get_decoder()
    before = body.config._attn_implementation
    assert not packs(body, "cpu")
    assert body.config._attn_implementation == before


SCORERS = {
    "perplexity": (
        PerplexityScorer,
        tiny_models.qwen3,
        {"kind": "causal_lm", "indicators": ("nll", "nll_alone", "ifd")},
    ),
    "reward": (
        SequenceClassifierScorer,
        tiny_models.qwen3_reward,
        {"kind": "sequence_classifier", "indicators": ("reward",)},
    ),
    "neox reward": (
        GPTNeoXRewardScorer,
        tiny_models.neox_reward,
        {"kind": "gpt_neox_reward", "indicators": ("reward",), "template": "oasst"},
    ),
}


@pytest.mark.parametrize("budget", [64, 1000])
@pytest.mark.parametrize("name", SCORERS)
def test_a_scorer_measures_the_same_with_packs(name, budget, tmp_path):
    make, build, entry = SCORERS[name]
    folder = str(build(tmp_path))
    spec = ModelSpec(source=folder, **entry)
    runtime = Runtime(folder, token_budget=budget)
    plain = make(spec, runtime).measure(TALKS)
    scorer = make(spec, replace(runtime, packed=True))
    assert scorer.packed
    packed = scorer.measure(TALKS)
    assert packed.reasons == plain.reasons
    for name, values in plain.values.items():
        assert packed.values[name] == pytest.approx(values, rel=1e-4, abs=1e-5, nan_ok=True)
    assert np.isfinite(packed.values[spec.indicators[0]]).sum() == len(TALKS) - 1


def test_a_scorer_of_a_model_that_cannot_be_packed_measures_as_before(tmp_path):
    folder = str(tiny_models.bert_classifier(tmp_path))
    entry = {"kind": "sequence_classifier", "indicators": ("good",), "label": "good"}
    runtime = Runtime(folder)
    plain, asked = (
        SequenceClassifierScorer(ModelSpec(source=folder, **entry), given)
        for given in (runtime, replace(runtime, packed=True))
    )
    assert not asked.packed
    assert asked.measure(TALKS).values["good"] == pytest.approx(
        plain.measure(TALKS).values["good"], nan_ok=True
    )

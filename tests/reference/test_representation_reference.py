"""Representations of conversations, against transformers' own hidden states."""

import numpy as np
import pytest
import tiny_models
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from instructmining.models.lists import ModelSpec
from instructmining.settings.sections import Measure
from udfs.indicators import kind_of, resolve
from udfs.running.scorers import load_scorer

TALKS = [
    [{"role": "user", "content": f"Count to {n}."}, {"role": "assistant", "content": "1 2 " * n}]
    for n in (1, 9, 4, 14)
] + [[], [{"role": "user", "content": "天空?"}, {"role": "assistant", "content": "蓝色。"}]]


@pytest.mark.parametrize("how", [Measure(), Measure(packing=True)], ids=["padded", "packed"])
@pytest.mark.parametrize("build", [tiny_models.llama, tiny_models.gpt2])
def test_a_vector_is_the_mean_of_the_last_states_weighted_by_position(build, how, tmp_path):
    folder = str(build(tmp_path))
    spec = ModelSpec(
        kind="representation", source=folder, max_length=64, indicators=("target_similarity",)
    )
    assert kind_of(spec).vectors
    scorer = load_scorer(resolve(spec), "cpu", "float32", 90, how)
    found = scorer.measure(TALKS)
    assert found.reasons[4] == "no messages"
    assert np.isnan(found.vectors[4]).all()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = scorer.prepare(TALKS)[1]
    for row in (0, 1, 2, 3, 5):
        assert TALKS[row][1]["content"][:3] in tokenizer.decode(texts[row].ids)
        with torch.inference_mode():
            out = model(torch.tensor([texts[row].ids]), output_hidden_states=True)
        states = out.hidden_states[-1][0].numpy().astype(float)
        weights = np.arange(1, len(states) + 1)
        mean = (states * weights[:, None]).sum(0) / weights.sum()
        expected = mean / np.linalg.norm(mean)
        assert found.vectors[row] == pytest.approx(expected, abs=1e-5)

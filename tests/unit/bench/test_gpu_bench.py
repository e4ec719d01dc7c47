"""The GPU bench on a CPU: arithmetic of shapes, windows, verdicts, and what a million rows take."""

import numpy as np
import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from bench.gpu.hours import STAGES, estimated, hours
from bench.gpu.shapes import LLAMA, NEOX, QWEN, flop, parameters, tiny
from bench.gpu.timing import RATE, GpuSuite, Speed, _judged, each, measure
from bench.harness.arms import LIMIT, Gate


def test_parameters_are_those_of_the_published_models():
    assert parameters(QWEN) == pytest.approx(0.44e9, rel=0.01)  # its card: 0.44 B non-embedding
    assert parameters(NEOX) == pytest.approx(1.208e9, rel=0.01)  # Pythia's paper: 1,208,602,624
    assert 16 * parameters(LLAMA) == pytest.approx(6.98e9, rel=0.01)  # 8.03 B less embeddings


def test_parameters_are_those_that_transformers_makes():
    small = tiny(LLAMA)
    made = LlamaForCausalLM(LlamaConfig(**small.config | {"vocab_size": 10})).model.layers
    matrices = sum(p.numel() for p in made.parameters() if p.dim() == 2)
    assert parameters(small) == matrices


def test_the_head_counts_where_every_token_has_one():
    ids = [[1] * 10, [1] * 20]
    head = flop(QWEN, ids, head=True) - flop(QWEN, ids, head=False)
    assert head == 2 * 30 * 1024 * 151_936


def test_an_arm_meets_every_window_once_and_its_first_is_not_counted():
    met = []
    windows = [np.full(10, n) for n in range(3)]
    suite = GpuSuite(
        name="s",
        about="rows",
        arms={"all": each(lambda w: met.append(int(w[0])) or w), "a half": each(lambda w: w, 0.5)},
        windows=windows,
        tokens=len,
        flop=lambda w: 1e9 * len(w),
        reference="all",
        same=lambda a, b: None if np.array_equal(a, b) else "not the same",
    )
    speeds = measure(suite, "cpu")
    assert met == [0, 1, 2]
    assert all(speed.wrong is None for speed in speeds.values())
    wrong = measure(replace_arm(suite, each(lambda w: w + 1)), "cpu")
    assert wrong["a half"].wrong == "not the same"


def replace_arm(suite, arm):
    return GpuSuite(**vars(suite) | {"arms": {**suite.arms, "a half": arm}})


def test_a_gate_is_a_share_of_the_product_a_ratio_or_a_rate():
    speeds = {"ours": Speed(100.0, 400.0, 1.0, None), "plain": Speed(20.0, 100.0, 1.0, None)}
    suite = GpuSuite("s", "", {}, (), len, float, "plain", lambda a, b: None)
    gates = [Gate("ours", LIMIT, 0.5), Gate("ours", "plain", 5), Gate("ours", RATE, 90)]
    found = [_judged(suite, gate, speeds, 800.0) for gate in gates]
    assert [(v.figure, v.ok) for v in found] == [(0.5, True), (4.0, False), (100.0, True)]
    broken = {**speeds, "ours": Speed(1e9, 1e9, 1.0, "other numbers")}
    assert not _judged(suite, gates[0], broken, 800.0).ok


def test_hours_are_tokens_over_speed():
    assert hours(1e6, 72, 2e4) == 1.0
    assert estimated(1e9, 2, 0.5) == pytest.approx(0.5 * 790e12 / 4e9)
    assert {stage.models for stage in STAGES} == {"embedded", "modern", "paper"}

"""Every scorer on a GPU gives what it gives on the CPU; needs a CUDA device and no Spark."""

import numpy as np
import pytest
import tiny_models
import torch
from scipy.stats import spearmanr

from instructmining.models.lists import ModelSpec
from udfs.indicators import load_model_list, resolve
from udfs.running.device import resolve_dtype
from udfs.running.scorers import load_scorer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

LM = ("input_length", "output_length", "perplexity", "perplexity_alone", "ifd", "nll", "nll_alone")
KINDS = {
    "llama": ("causal_lm", tiny_models.llama, {"indicators": LM}),
    "gpt2": ("causal_lm", tiny_models.gpt2, {"indicators": LM}),
    "gemma2": ("causal_lm", tiny_models.gemma2, {"indicators": LM}),
    "neox reward": (
        "gpt_neox_reward",
        tiny_models.neox_reward,
        {"indicators": ("reward",), "template": "oasst"},
    ),
    "qwen3 reward": ("sequence_classifier", tiny_models.qwen3_reward, {"indicators": ("reward",)}),
    "bert": (
        "sequence_classifier",
        tiny_models.bert_classifier,
        {"indicators": ("good",), "label": "good", "template": "pair"},
    ),
    "t5": ("unieval", tiny_models.t5, {"indicators": ("naturalness", "coherence")}),
}
COUNTS = [
    [
        {"role": "user", "content": f"Count to {n}."},
        {"role": "assistant", "content": " ".join(map(str, range(n)))},
    ]
    for n in range(2, 60, 3)
]
CHINESE = [
    {"role": "user", "content": "天空是什么颜色?"},
    {"role": "assistant", "content": "蓝色。"},
]
ROWS = [*COUNTS, [], CHINESE]


@pytest.fixture(params=KINDS)
def model(request, tmp_path):
    kind, build, more = KINDS[request.param]
    return resolve(ModelSpec(kind=kind, source=str(build(tmp_path)), **more))


def embedded(stage):
    return resolve(load_model_list("embedded").stages[stage])


def measured(model, device, dtype):
    found = load_scorer(model, device, dtype).measure(ROWS)
    table = [*found.values.values()] if found.vectors is None else [*found.vectors.T]
    return np.array(table, dtype=float), found


@pytest.mark.parametrize("budget", [None, 64])
def test_float32_on_a_gpu_is_float32_on_the_cpu(model, budget):
    here = load_scorer(model, "cpu", "float32").measure(ROWS)
    there = load_scorer(model, "cuda:0", "float32", budget).measure(ROWS)
    assert there.reasons == here.reasons
    for name, values in here.values.items():
        assert there.values[name] == pytest.approx(values, rel=1e-3, abs=1e-4, nan_ok=True)


@pytest.mark.parametrize("stage", ["reward", "perplexity", "embed"])
def test_the_embedded_models_rank_alike_in_bfloat16_on_a_gpu(stage):
    assert resolve_dtype("auto", "cuda:0") in ("bfloat16", "float32")
    here, _ = measured(embedded(stage), "cpu", "float32")
    there, found = measured(embedded(stage), "cuda:0", "bfloat16")
    assert found.reasons[-2] == "no messages"
    if stage == "embed":
        seen = np.isfinite(here[0])
        assert (here * there)[:, seen].sum(0).min() > 0.999
        return
    for one, other in zip(here, there, strict=True):
        seen = np.isfinite(one)
        assert spearmanr(one[seen], other[seen]).statistic > 0.98


def test_batches_that_do_not_fit_are_halved_and_lose_no_row():
    model = embedded("perplexity")
    here, _ = measured(model, "cpu", "float32")
    scorer = load_scorer(model, "cuda:0", "float32", 2**20)
    limit = torch.cuda.memory_allocated(0) + 64 * 2**20
    torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.mem_get_info(0)[1], 0)
    try:
        found = scorer.measure(ROWS * 40)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, 0)
    first = np.array([values[: len(ROWS)] for values in found.values.values()])
    assert first == pytest.approx(here, rel=1e-3, nan_ok=True)
    assert found.work.retries > 0

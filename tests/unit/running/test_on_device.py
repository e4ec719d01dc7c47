"""Attention kernels, masks and copies of a forward pass; what of it can be seen without a GPU."""

import gc

import numpy as np
import pytest
import tiny_models
import torch
from torch.nn.attention import SDPBackend
from transformers import AutoModel, AutoModelForSequenceClassification

from instructmining.models.lists import ModelSpec
from udfs.indicators import resolve
from udfs.indicators.reward import GPTNeoXRewardModel
from udfs.running.on_device import Results, inference, is_causal, kernel_order
from udfs.running.scorers import load_scorer

ROWS = [
    [
        {"role": "user", "content": f"Count to {n}."},
        {"role": "assistant", "content": " ".join(map(str, range(n)))},
    ]
    for n in (3, 40, 11, 27, 5, 19)
]
KINDS = {
    "neox reward": (
        tiny_models.neox_reward,
        {"kind": "gpt_neox_reward", "indicators": ("reward",), "template": "oasst"},
    ),
    "qwen3 reward": (
        tiny_models.qwen3_reward,
        {"kind": "sequence_classifier", "indicators": ("reward",)},
    ),
    "bert": (
        tiny_models.bert_classifier,
        {"kind": "sequence_classifier", "indicators": ("good",), "label": "good"},
    ),
    "llama": (tiny_models.llama, {"kind": "causal_lm", "indicators": ("nll", "nll_alone")}),
    "t5": (tiny_models.t5, {"kind": "unieval", "indicators": ("naturalness",)}),
}


def scorer(name, folder, budget=None):
    build, entry = KINDS[name]
    model = resolve(ModelSpec(source=str(build(folder)), **entry))
    return load_scorer(model, "cpu", "float32", budget)


def order():
    return [SDPBackend(i) for i in torch._C._get_sdp_priority_order()]


def test_on_a_gpu_cudnn_comes_after_every_kernel_that_plans_nothing():
    before = order()
    with kernel_order("cuda:0"):
        assert order()[:3] == [
            SDPBackend.FLASH_ATTENTION,
            SDPBackend.EFFICIENT_ATTENTION,
            SDPBackend.MATH,
        ]
        with kernel_order("cpu"):
            assert order()[0] == SDPBackend.FLASH_ATTENTION
    assert order() == before
    with inference("cuda:0"):
        assert torch.is_inference_mode_enabled()
        assert order()[0] == SDPBackend.FLASH_ATTENTION


@pytest.mark.parametrize(
    ("build", "auto", "causal"),
    [
        (tiny_models.llama, AutoModel, True),
        (tiny_models.gpt2, AutoModel, True),
        (tiny_models.neox_reward, GPTNeoXRewardModel, True),
        (tiny_models.qwen3_reward, AutoModelForSequenceClassification, True),
        (tiny_models.bert_classifier, AutoModelForSequenceClassification, False),
        (tiny_models.t5, AutoModel, False),
    ],
)
def test_a_decoder_is_causal_and_an_encoder_is_not(build, auto, causal, tmp_path):
    assert is_causal(auto.from_pretrained(build(tmp_path))) is causal


@pytest.mark.parametrize("name", ["neox reward", "qwen3 reward", "bert"])
def test_a_mask_is_given_to_attention_only_where_padding_would_be_seen(name, tmp_path):
    loaded = scorer(name, tmp_path)
    body = loaded.model.base_model
    masks = []
    body.register_forward_pre_hook(
        lambda _, args, options: masks.append(options.get("attention_mask")), with_kwargs=True
    )
    together = loaded.measure(ROWS).values[loaded.indicators[0]]
    assert [mask is not None for mask in masks] == [name == "bert"] * len(masks)
    alone = [loaded.measure([row]).values[loaded.indicators[0]][0] for row in ROWS]
    assert together == pytest.approx(np.array(alone), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_a_window_of_many_batches_is_copied_to_the_host_once(name, tmp_path, monkeypatch):
    loaded = scorer(name, tmp_path, budget=40)
    copies = []
    to_host = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: copies.append(1) or to_host(self))
    found = loaded.measure(ROWS)
    assert found.work.batches > 2
    assert len(copies) == 1


def test_results_go_to_their_rows_and_means_are_of_each_row():
    results = Results()
    results.add(np.array([2, 0]), torch.tensor([1.0, 3.0]))
    results.add(np.array([2]), torch.tensor([5.0]))
    assert results.means(4).tolist()[::2] == [3.0, 3.0]
    assert np.isnan(results.means(4)[[1, 3]]).all()
    stored = np.full(3, -1.0)
    results.into(stored)
    assert stored.tolist() == [3.0, -1.0, 5.0]
    Results().into(stored)
    assert np.isnan(Results().means(2)).all()


def test_a_loaded_model_is_left_out_of_garbage_collection(tmp_path):
    gc.unfreeze()
    scorer("llama", tmp_path)
    assert gc.get_freeze_count() > 0

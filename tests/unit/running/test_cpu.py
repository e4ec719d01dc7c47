"""What is done to models on a CPU changes their speed and not their numbers."""

from types import SimpleNamespace

import pytest
import tiny_models
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
)
from transformers.activations import GELUActivation

from udfs.running.cpu import ReorderedLinear, aligned_attention, can_reorder, tuned

MODELS = {
    "llama": (tiny_models.llama, AutoModelForCausalLM),
    "gpt2": (tiny_models.gpt2, AutoModelForCausalLM),
    "neox": (tiny_models.neox, AutoModelForCausalLM),
    "qwen3": (tiny_models.qwen3, AutoModelForCausalLM),
    "gemma2": (tiny_models.gemma2, AutoModelForCausalLM),
    "cohere": (tiny_models.cohere, AutoModelForCausalLM),
    "bert": (tiny_models.bert_classifier, AutoModelForSequenceClassification),
    "deberta": (tiny_models.deberta_reward, AutoModelForSequenceClassification),
    "t5": (tiny_models.t5, AutoModelForSeq2SeqLM),
}
needs_bf16 = pytest.mark.skipif(not can_reorder(), reason="no bfloat16 products in oneDNN's order")
OPERATORS = ("_is_mkldnn_bf16_supported", "_reorder_linear_weight", "_linear_pointwise")


class Layer(nn.Module):
    def __init__(self, is_causal):
        super().__init__()
        self.is_causal = is_causal


@pytest.mark.parametrize("length", [1, 13, 16, 31, 73])
@pytest.mark.parametrize("mask", ["none", "causal", "boolean", "added"])
def test_attention_is_that_of_torch_at_every_length(length, mask):
    torch.manual_seed(length)
    query, key, value = torch.randn(3, 2, 4, length, 8)
    given = {
        "none": None,
        "causal": None,
        "boolean": torch.rand(2, 1, length, length) > 0.3,
        "added": torch.randn(2, 1, length, length),
    }[mask]
    if mask == "boolean":
        given |= torch.eye(length, dtype=torch.bool)
    found, _ = aligned_attention(Layer(mask == "causal"), query, key, value, given)
    expected = nn.functional.scaled_dot_product_attention(
        query, key, value, given, is_causal=mask == "causal"
    )
    torch.testing.assert_close(found, expected.transpose(1, 2), rtol=1e-5, atol=1e-6)


def logits(model, length, padded):
    ids = torch.arange(3 * length).reshape(3, length) % 290 + 5
    inputs = {"input_ids": ids}
    if padded:
        inputs["attention_mask"] = torch.ones_like(ids)
        inputs["attention_mask"][1, length // 2 :] = 0
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = ids[:, :1]
    with torch.inference_mode():
        return model(**inputs).logits.float()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("dtype", "atol"), [("float32", 1e-5), pytest.param("bfloat16", 0.07, marks=needs_bf16)]
)
def test_a_tuned_model_gives_the_same_numbers(tmp_path, name, dtype, atol):
    build, kind = MODELS[name]
    folder = build(tmp_path)
    plain, other = (kind.from_pretrained(folder, dtype=dtype).eval() for _ in range(2))
    model = tuned(other, "cpu")
    for length in (11, 37):
        for padded in (False, True):
            expected = logits(plain, length, padded)
            assert expected.std() > 0.05  # of which the tolerance is a part
            torch.testing.assert_close(
                logits(model, length, padded), expected, rtol=1e-4 + atol / 3, atol=atol
            )


@needs_bf16
def test_weights_are_reordered_in_place_of_those_loaded_and_others_stay(tmp_path):
    model = AutoModelForCausalLM.from_pretrained(tiny_models.llama(tmp_path), dtype="bfloat16")
    tuned(model.eval(), "cpu")
    linears = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    assert linears == []
    assert isinstance(model.get_output_embeddings(), ReorderedLinear)
    assert model.get_output_embeddings().out_features == 400
    assert model.config._attn_implementation == "sdpa_aligned"


@needs_bf16
@pytest.mark.parametrize(
    ("name", "layers"), [("bert", 2), ("deberta", 2), ("neox", 2), ("gpt2", 0), ("llama", 0)]
)
def test_gelu_joins_the_layer_before_it_where_a_family_is_known_to_put_it(tmp_path, name, layers):
    build, kind = MODELS[name]
    model = tuned(kind.from_pretrained(build(tmp_path), dtype="bfloat16").eval(), "cpu")
    joined = [each for each in model.modules() if getattr(each, "then", "none") == "gelu"]
    left = [each for each in model.modules() if isinstance(each, GELUActivation)]
    assert len(joined) == layers
    assert len(left) <= 1  # a head's own


@needs_bf16
def test_gelu_in_the_product_is_nearer_to_the_truth_than_after_it():
    torch.manual_seed(0)
    layer = nn.Linear(64, 96)
    states = torch.randn(50, 64)
    rounded = layer.to(torch.bfloat16)
    joined = ReorderedLinear(rounded)
    joined.then = "gelu"
    with torch.inference_mode():
        given = states.to(torch.bfloat16)
        found = joined(given).float()
        after = nn.functional.gelu(rounded(given)).float()
        truth = nn.functional.gelu(
            nn.functional.linear(given.float(), rounded.weight.float(), rounded.bias.float())
        )
    assert (found - truth).abs().mean() <= (after - truth).abs().mean()
    torch.testing.assert_close(found, truth, rtol=1e-2, atol=1e-3)


@needs_bf16
@pytest.mark.parametrize(
    ("operator", "instead"),
    [
        ("_is_mkldnn_bf16_supported", None),
        ("_reorder_linear_weight", None),
        ("_linear_pointwise", None),
        ("_reorder_linear_weight", lambda weight: weight),  # other arguments
        ("_linear_pointwise", lambda states, *_: torch.zeros_like(states)),  # other results
    ],
)
def test_where_an_operator_of_torch_is_gone_or_another_a_model_keeps_its_layers(
    tmp_path, monkeypatch, operator, instead
):
    folder = tiny_models.neox(tmp_path)
    kinds = (AutoModelForCausalLM.from_pretrained(folder, dtype="bfloat16") for _ in range(2))
    plain, model = (each.eval() for each in kinds)
    operators = {name: getattr(torch.ops.mkldnn, name) for name in OPERATORS}
    operators[operator] = instead
    present = {name: each for name, each in operators.items() if each is not None}
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace(**present))
    drawn = torch.get_rng_state()
    tuned(model, "cpu")
    assert torch.equal(torch.get_rng_state(), drawn)  # trying draws no random numbers
    assert not any(isinstance(layer, ReorderedLinear) for layer in model.modules())
    expected = logits(plain, 11, padded=True)  # attention is still padded, as above
    torch.testing.assert_close(logits(model, 11, padded=True), expected, rtol=0.02, atol=0.06)


def test_a_gpu_model_and_float32_layers_stay_as_they_are(tmp_path):
    folder = tiny_models.llama(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    assert tuned(model, "cuda:0").config._attn_implementation == "sdpa"
    tuned(model, "cpu")
    assert isinstance(model.get_output_embeddings(), nn.Linear)

"""Logits are made a few rows at a time, however large a batch and a vocabulary are."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from udfs.indicators.perplexity import _LOGITS_AT_ONCE, Counted, TokenLogLoss
from udfs.running.budget import LOGITS

VOCABULARY = 152_000  # of Qwen3


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 1, "num_key_value_heads": 1, "max_position_embeddings": 64}
    return LlamaForCausalLM(LlamaConfig(**shape, **heads, vocab_size=VOCABULARY)).eval()


def test_the_head_never_makes_more_logits_than_are_allowed(model):
    loss = TokenLogLoss(model, "cpu")
    made = []
    model.lm_head.register_forward_hook(lambda _, args, logits: made.append(logits.numel()))
    texts = [Counted(list(range(1, 50)), [False] + [True] * 48)] * 4
    with torch.inference_mode():
        losses, rows = loss.of_tokens(texts)
    loss.of_tokens(texts)[0].sum().backward()  # a step of training computes them twice
    assert len(losses) == len(rows) == 192
    assert len(made) > 3 * 192 * VOCABULARY // _LOGITS_AT_ONCE["cpu"]
    assert max(made) <= _LOGITS_AT_ONCE["cpu"]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_logits_and_what_is_computed_of_them_fit_what_the_budget_leaves(device):
    # As the head makes them, in float32, and their log-softmax.
    assert _LOGITS_AT_ONCE[device] * (4 + 4 + 4) <= LOGITS[device]

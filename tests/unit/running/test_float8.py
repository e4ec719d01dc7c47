"""Layers in float8: near the layers they replace, whatever else is in the batch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import nn
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from bench.harness.texts import bpe
from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec, find_model, load_model_list
from udfs.indicators.perplexity import PerplexityScorer
from udfs.running import float8
from udfs.running.float8 import Float8Linear, use_float8
from udfs.running.measurement import Runtime

pytestmark = pytest.mark.skipif(
    not hasattr(nn.functional, "scaled_mm"), reason="this torch has no public product in float8"
)
ENTRY = {"kind": "causal_lm", "source": "a folder", "indicators": ("nll",)}


def talks(count):
    draw = np.random.default_rng(1)
    words = ["river", "stone", "seven", "because", "light", "answer", "the", "of", "zebra", "run"]
    return [
        [
            {"role": "user", "content": " ".join(draw.choice(words, 5))},
            {
                "role": "assistant",
                "content": " ".join(draw.choice(words, int(draw.integers(3, 40)))),
            },
        ]
        for _ in range(count)
    ]


@given(st.integers(0, 1000), st.sampled_from([1, 5, 33]), st.booleans())
def test_a_layer_is_near_the_one_that_it_replaces_and_knows_no_other_row(seed, rows, has_bias):
    torch.manual_seed(seed)
    linear = nn.Linear(64, 48, bias=has_bias)
    layer = Float8Linear(linear)
    # Rows of very different sizes: one scale for all would lose the small ones.
    states = torch.randn(rows, 64) * 10.0 ** torch.randint(-3, 3, (rows, 1))
    with torch.inference_mode():
        found, expected = layer(states), linear(states)
        error = (found - expected).norm(dim=1) / expected.norm(dim=1)
        assert float(error.max()) < 0.08  # E4M3 has three binary places: 2^-4 at most in a number
        alone = torch.cat([layer(row[None]) for row in states])
    # Sums of another order round a few numbers to the neighbour in bfloat16.
    assert float(((found - alone).norm(dim=1) / alone.norm(dim=1)).max()) < 2**-9


def test_a_row_of_zeros_is_the_bias_and_shapes_are_kept():
    layer = Float8Linear(nn.Linear(32, 16))
    out = layer(torch.zeros(2, 3, 32, dtype=torch.bfloat16))
    assert (out.shape, out.dtype) == ((2, 3, 16), torch.bfloat16)
    assert torch.equal(out[1, 2], layer.bias)


def test_a_model_ranks_texts_as_without_it_and_keeps_its_head(tmp_path):
    shape = {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128}
    torch.manual_seed(0)
    config = GPTNeoXConfig(vocab_size=50_304, num_hidden_layers=3, **shape)
    GPTNeoXForCausalLM(config).save_pretrained(tmp_path)
    bpe().save_pretrained(tmp_path)
    entry = {**ENTRY, "source": str(tmp_path)}
    runtime = Runtime(str(tmp_path))
    scorers = [PerplexityScorer(ModelSpec(**entry, float8=on), runtime) for on in (False, True)]
    plain, rounded = (scorer.measure(talks(60)).values["nll"] for scorer in scorers)
    body = scorers[1].log_loss.body
    assert sum(isinstance(layer, Float8Linear) for layer in body.modules()) == 3 * 4
    assert not any(isinstance(layer, nn.Linear) for layer in body.modules())
    assert isinstance(scorers[1].log_loss.head, nn.Linear)
    assert not np.array_equal(plain, rounded)
    assert np.abs(plain - rounded).max() < 0.05
    assert spearmanr(plain, rounded).statistic > 0.98


def test_it_is_part_of_the_fingerprint_and_others_keep_theirs():
    spec = load_model_list("embedded").stages["perplexity"]
    as_it_is, asked = (
        find_model(spec.model_copy(update={"float8": on}), formula=1) for on in (False, True)
    )
    assert "float8" not in as_it_is.definition
    assert asked.definition["float8"] is True
    assert as_it_is.fingerprint != asked.fingerprint


def test_other_kinds_are_refused():
    with pytest.raises(ValueError, match=r"float8 is for the kinds causal_lm, .*, not unieval"):
        ModelSpec(**ENTRY | {"kind": "unieval"}, float8=True)


def test_what_cannot_be_rounded_is_told(monkeypatch):
    spec = ModelSpec(**ENTRY, float8=True)
    odd = nn.Sequential(nn.ModuleList([nn.Linear(20, 20), nn.Linear(20, 20)]))
    with pytest.raises(UserError, match="no block of it has a linear layer"):
        use_float8(odd, spec, "cpu")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    with pytest.raises(UserError, match=r"float8 needs a GPU of compute capability 8\.9"):
        use_float8(odd, spec, "cuda:0")
    monkeypatch.delattr(nn.functional, "scaled_mm")
    with pytest.raises(UserError, match=r"float8 needs torch 2\.10"):
        use_float8(odd, spec, "cpu")
    assert float8._exchange(nn.Sequential(nn.Linear(32, 20))) == 0

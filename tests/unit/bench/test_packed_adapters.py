"""The upper bound of packed adapters is measured on the same finetunes."""

import numpy as np
import torch

from bench.harness.packed_lora import clip_each_run
from bench.speed.packed_adapters import arms, differing, frozen, made_rows

SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 97,
}


def test_packed_runs_have_the_losses_of_single_ones_and_each_its_own():
    runs = made_rows(runs=3, steps=4, rows=2, vocabulary=97)
    both = arms(frozen(SHAPE), [*runs, runs[0]])
    alone = both["one by one"]()
    packed = both["packed"]()
    assert alone.shape == (4, 4)
    assert differing(packed, alone) is None
    np.testing.assert_allclose(packed[0], packed[3], rtol=1e-5)
    assert np.ptp(packed[:3], axis=0).min() > 1e-3
    assert differing(both["packed"](), packed) is None  # from the first adapters again


def test_losses_of_a_run_that_read_other_rows_are_told():
    runs = made_rows(runs=2, steps=2, rows=2, vocabulary=97)
    alone = arms(frozen(SHAPE), runs)["one by one"]()
    other = arms(frozen(SHAPE), runs[::-1])["packed"]()
    assert "losses differ by" in differing(other, alone)


def test_the_gradients_of_every_run_are_clipped_by_their_own_norm():
    parameter = torch.nn.Parameter(torch.zeros(2, 1, 2))
    parameter.grad = torch.tensor([[[3.0, 4.0]], [[0.3, 0.4]]])
    clip_each_run([parameter])
    torch.testing.assert_close(
        parameter.grad, torch.tensor([[[0.6, 0.8]], [[0.3, 0.4]]]), rtol=1e-5, atol=0
    )

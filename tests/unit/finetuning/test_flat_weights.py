"""The update of all weights at once is that of torch's AdamW, weight by weight."""

import copy

import pytest
import torch
from torch import nn

from udfs.finetuning.flat_weights import FlatAdamW
from udfs.finetuning.master_weights import Masters, share_of_peak

STEPS, WARM_UP, RATE, DECAY = 12, 3, 1e-2, 0.1


def model(dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3), nn.Linear(3, 1))
    made[2].weight.requires_grad_(False)
    made.unused = nn.Parameter(torch.ones(4))
    return made.to(dtype)


def adamw(weights: dict[str, torch.Tensor]) -> list[torch.optim.Optimizer]:
    return [torch.optim.AdamW(weights.values(), RATE, betas=(0.9, 0.95), weight_decay=DECAY)]


def trained(made: nn.Module, weights: FlatAdamW | Masters, scale: float) -> nn.Module:
    random = torch.Generator().manual_seed(1)
    dtype = next(made.parameters()).dtype
    for _ in range(STEPS):
        read = torch.randn(8, 6, generator=random).to(dtype)
        (scale * made(read).square().mean()).backward()
        weights.step()
    return made


@pytest.mark.parametrize("scale", [0.01, 30.0])  # gradients that are left and that are clipped
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_ends_at_the_weights_of_torchs_optimizer(dtype, scale):
    first = model(dtype)
    one, other = copy.deepcopy(first), copy.deepcopy(first)
    expected = trained(one, Masters(one, adamw, STEPS, WARM_UP), scale)
    flat = FlatAdamW(other, RATE, DECAY, STEPS, WARM_UP, fused=False)
    found = trained(other, flat, scale)
    for name, parameter in expected.named_parameters():
        if name == "unused":  # no gradient: torch leaves it, here its decay goes on
            continue
        there = found.get_parameter(name)
        assert there.dtype == dtype
        assert there.grad is None
        torch.testing.assert_close(there, parameter, rtol=2e-5, atol=2e-6)
    assert not torch.equal(found[0].weight, first[0].weight)
    assert torch.equal(found[2].weight, first[2].weight)


def test_compiled_it_gives_the_same():
    one, other = model(torch.float32), model(torch.float32)
    plain = trained(one, FlatAdamW(one, RATE, DECAY, STEPS, WARM_UP, fused=False), 1.0)
    fused = trained(other, FlatAdamW(other, RATE, DECAY, STEPS, WARM_UP), 1.0)
    for there, here in zip(fused.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(there, here, rtol=1e-5, atol=1e-6)


def test_the_rate_rises_in_a_line_and_falls_to_a_twentieth():
    shares = [share_of_peak(taken, 4, 104) for taken in range(105)]
    assert shares[:4] == [0.25, 0.5, 0.75, 1.0]
    assert shares[4] == 1.0
    assert shares[54] == pytest.approx(0.525)
    assert shares[104] == pytest.approx(0.05)
    assert shares[4:] == sorted(shares[4:], reverse=True)

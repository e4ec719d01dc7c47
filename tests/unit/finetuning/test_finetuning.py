"""A tiny model finetuned for real: seeds, the tokens that count, weights restored; no Spark."""

import math

import numpy as np
import pytest
import tiny_models
import torch
from transformers import AutoModelForCausalLM

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec
from instructmining.models.shape import Shape
from instructmining.settings.learning import Finetune
from instructmining.settings.sections import Measure
from udfs.finetuning.adapters import adapter_of, default_rate
from udfs.finetuning.finetuner import Finetuner
from udfs.finetuning.memory import activation_bytes, planned, training_bytes


def said(prompt: str, response: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]


ROWS = [said(f"Say {i}.", f"The sky is blue, {i} times.") for i in range(24)]
HELD_OUT = {"blue": [said("And now?", "The sky is blue, 99 times."), said("天空?", "蓝色的")]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny_models.llama(tmp_path_factory.mktemp("models") / "llama"))


def finetuner(folder, dtype="float32", budget=512, how=None, **recipe):
    given = {"epochs": 2, "batch_rows": 8, "rate": 3e-3, "max_length": 64, **recipe}
    spec = ModelSpec(kind="causal_lm", source=folder, template="plain", indicators=("perplexity",))
    return Finetuner(spec, folder, "cpu", dtype, budget, Finetune(**given), how)


@pytest.fixture(scope="module")
def tuner(folder):
    return finetuner(folder)


def test_finetuning_lowers_the_loss_on_unseen_text_of_the_kind(tuner):
    base = tuner.run([], HELD_OUT, 0)
    tuned = tuner.run(ROWS, HELD_OUT, 0)
    assert tuned.losses["blue"] < base.losses["blue"] - 0.1
    assert (base.steps, base.tokens) == (0, 0)
    assert math.isnan(base.train_loss)
    assert (tuned.steps, tuned.unused) == (6, 0)


def test_every_run_starts_from_the_base_weights(tuner):
    base = tuner.run([], HELD_OUT, 0).losses
    first = tuner.run(ROWS, HELD_OUT, 1).losses
    tuner.run(ROWS[:8], HELD_OUT, 2)
    assert tuner.run(ROWS, HELD_OUT, 1).losses == first
    assert tuner.run([], HELD_OUT, 5).losses == base


def test_another_seed_orders_the_examples_differently(tuner):
    one, two = (tuner.run(ROWS, HELD_OUT, seed).losses["blue"] for seed in (1, 2))
    assert one != two
    assert one == pytest.approx(two, rel=0.2)


def test_the_evaluated_loss_is_the_mean_over_tokens_that_transformers_computes(tuner):
    outcome = tuner.run([], HELD_OUT, 0)
    total, count = 0.0, 0
    for text in tuner._counted(HELD_OUT["blue"]):
        ids = torch.tensor([text.ids])
        labels = torch.where(torch.tensor([text.counted]), ids, -100)
        with torch.inference_mode():
            mean = tuner.model(input_ids=ids, labels=labels).loss.item()
        total = total + mean * sum(text.counted)
        count = count + sum(text.counted)
    assert outcome.losses["blue"] == pytest.approx(total / count, rel=1e-5)
    assert outcome.evaluated["blue"] == count
    by_prompt = np.array(outcome.prompt_losses["blue"]), np.array(outcome.prompt_tokens["blue"])
    assert by_prompt[0] @ by_prompt[1] / count == pytest.approx(total / count, rel=1e-5)
    assert len(by_prompt[0]) == len(HELD_OUT["blue"])


def test_gradients_come_from_response_tokens_only_however_memory_cuts_the_step(tuner):
    texts = tuner._counted(ROWS[:8])
    tuner._restore()
    tuner.model.train()
    tuner._backward(texts)
    ours = {n: p.grad.clone() for n, p in tuner.model.named_parameters()}
    tuner._restore()
    counted = sum(sum(text.counted) for text in texts)
    for text in texts:
        ids = torch.tensor([text.ids])
        labels = torch.where(torch.tensor([text.counted]), ids, -100)
        loss = tuner.model(input_ids=ids, labels=labels).loss * sum(text.counted) / counted
        loss.backward()
    for name, parameter in tuner.model.named_parameters():
        assert torch.allclose(ours[name], parameter.grad, rtol=1e-3, atol=1e-6), name


def test_examples_without_a_response_are_counted_as_unused(tuner):
    outcome = tuner.run([*ROWS[:8], said("empty", "")], HELD_OUT, 0)
    assert (outcome.unused, outcome.steps) == (1, 2)


def test_an_evaluation_set_without_a_response_token_is_a_clear_mistake(tuner):
    with pytest.raises(UserError, match=r"evaluation set far .*finetune\.max_length=64"):
        tuner.evaluate("far", [said("empty", "")])


def test_another_set_of_the_same_name_is_measured_and_not_remembered(tuner):
    first = tuner.run([], HELD_OUT, 0).losses["blue"]
    other = {"blue": [said("And then?", "Grass grows in the rain.")]}
    second = tuner.run([], other, 0).losses["blue"]
    assert second == tuner.run([], {"green": other["blue"]}, 0).losses["green"] != first
    assert tuner.run([], HELD_OUT, 0).losses["blue"] == first


def test_lora_trains_its_adapters_alone_and_starts_from_the_base_model(folder, tuner):
    lora = finetuner(folder, adapter="lora", lora_rank=4, rate=3e-2)
    trained = {name for name, _ in lora._trainable()}
    assert trained
    assert all("lora_" in name for name in trained)
    base = lora.run([], HELD_OUT, 0).losses["blue"]
    assert base == pytest.approx(tuner.run([], HELD_OUT, 0).losses["blue"], rel=1e-6)
    first = lora.run(ROWS, HELD_OUT, 0).losses["blue"]
    assert first < base - 0.05
    assert lora.run(ROWS, HELD_OUT, 0).losses["blue"] == first


def test_adapters_start_from_the_same_numbers_in_every_process(folder):
    torch.manual_seed(7)
    one = finetuner(folder, adapter="lora", lora_rank=4).model.state_dict()
    torch.manual_seed(8)
    two = finetuner(folder, adapter="lora", lora_rank=4).model.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_bfloat16_weights_learn_through_float32_masters(folder):
    tuner = finetuner(folder, dtype="bfloat16")
    base, tuned = (tuner.run(rows, HELD_OUT, 0).losses["blue"] for rows in ([], ROWS))
    assert tuned < base - 0.1


def test_losses_are_those_of_torch_and_transformers_alone(folder, tuner):
    """The recipe in a dozen plain lines: AdamW on mean losses, clipped, warmed up, a cosine."""
    ours = tuner.run(ROWS, HELD_OUT, 4)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    adam = torch.optim.AdamW(model.parameters(), 3e-3, (0.9, 0.95), weight_decay=0.0)
    texts = tuner._counted(ROWS)
    draw = np.random.default_rng(4)
    orders = [draw.permutation(24) for _ in range(2)]
    for step, rows in enumerate(np.concatenate(orders).reshape(6, 8)):
        counted = sum(sum(texts[row].counted) for row in rows)
        for row in rows:
            (_summed(model, texts[row]) / counted).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        cosine = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - 1) / 5))
        adam.param_groups[0]["lr"] = 3e-3 * (cosine if step else 1.0)
        adam.step()
        adam.zero_grad()
    held = tuner._counted(HELD_OUT["blue"])
    with torch.inference_mode():
        total = sum(_summed(model, text).item() for text in held)
    expected = total / sum(sum(text.counted) for text in held)
    assert ours.losses["blue"] == pytest.approx(expected, rel=2e-4)


def _summed(model, text):
    ids = torch.tensor([text.ids])
    labels = torch.where(torch.tensor([text.counted]), ids, -100)
    return model(input_ids=ids, labels=labels).loss * sum(text.counted)


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_packed_sequences_come_to_the_losses_of_padded_ones(folder, adapter):
    case = {"adapter": adapter, "lora_rank": 4, "rate": 3e-3 if adapter == "full" else 3e-2}
    padded = finetuner(folder, **case).run(ROWS, HELD_OUT, 0)
    packed = finetuner(folder, how=Measure(packing=True), **case)
    assert packed.packed
    found = packed.run(ROWS, HELD_OUT, 0)
    assert found.losses["blue"] == pytest.approx(padded.losses["blue"], rel=1e-3)
    assert found.train_loss == pytest.approx(padded.train_loss, rel=1e-3)


def test_a_rate_that_breaks_the_model_says_so(folder):
    with pytest.raises(ArithmeticError, match=r"lower finetune\.rate"):
        finetuner(folder, rate=1e30, warm_up=0.0).run(ROWS, HELD_OUT, 0)
    with pytest.raises(ArithmeticError, match=r"lower finetune\.rate"):  # by the last update
        finetuner(folder, rate=1e30, warm_up=0.0, epochs=1).run(ROWS[:8], HELD_OUT, 0)


def test_large_models_take_adapters_and_smaller_steps():
    assert (adapter_of(Finetune(), 4_000_000), adapter_of(Finetune(), 7 * 10**9)) == (
        "full",
        "lora",
    )
    rates = [default_rate("full", 4_000_000), default_rate("full", 10**9), default_rate("lora", 1)]
    assert rates == [3e-4, 2e-5, 2e-4]


def test_memory_is_that_of_weights_gradients_masters_moments_and_activations():
    # 7 B in bf16, full: weights, gradients and start of 2 bytes each, four copies in float32.
    assert training_bytes(7 * 10**9, "full", 2) == pytest.approx(22 * 7e9)
    assert training_bytes(7 * 10**9, "lora", 2) == pytest.approx(2 * 7e9 + 0.01 * 20 * 7e9)
    # Shared by 4: nothing is kept for a next run, since there is none in these processes.
    assert training_bytes(7 * 10**9, "full", 2, 4) == pytest.approx(20 * 7e9 / 4)
    assert training_bytes(7 * 10**9, "lora", 2, 4) == pytest.approx(2 * 7e9 / 4 + 0.18 * 7e9 / 4)
    llama = Shape(layers=32, hidden=4096)
    assert activation_bytes(llama, 2048, False, 2) == pytest.approx(34 * 4096 * 2048 * 32)
    assert activation_bytes(llama, 2048, True, 2) < 0.1 * activation_bytes(llama, 2048, False, 2)
    assert np.isfinite(activation_bytes(Shape(1, 1), 1, True, 4))


PYTHIA = Shape(layers=24, hidden=2048)
GB = 10**9


def test_a_step_takes_as_many_tokens_as_the_memory_has_room_for():
    for adapter in ("full", "lora"):
        for memory in (30 * GB, 80 * GB, 140 * GB):
            plan = planned(PYTHIA, 14 * 10**8, adapter, 2, memory, None)
            used = activation_bytes(PYTHIA, plan.token_budget, plan.recomputes, 2)
            room = memory - training_bytes(14 * 10**8, adapter, 2)
            assert plan.token_budget == 1_024 or used <= 0.8 * room
            assert plan.token_budget <= 65_536


def test_layers_are_computed_again_only_where_their_activations_do_not_fit():
    small, large = (planned(PYTHIA, 14 * 10**8, "lora", 2, m, 16_384) for m in (12 * GB, 140 * GB))
    assert (small.recomputes, large.recomputes) == (True, False)
    assert not planned(PYTHIA, 14 * 10**8, "full", 2, 40 * GB, 16_384).recomputes
    unbound = planned(PYTHIA, 14 * 10**8, "lora", 2, 12 * GB, None)
    assert unbound.recomputes
    assert unbound.token_budget > 16_384


def test_the_start_of_a_run_stays_on_the_device_where_there_is_room():
    plans = [planned(PYTHIA, 14 * 10**8, "full", 2, m, 2_048) for m in (34 * GB, 80 * GB)]
    assert [plan.keeps_start for plan in plans] == [False, True]

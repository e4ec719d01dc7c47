"""The option that a model takes is the one whose tokens it finds likeliest, each alone."""

import numpy as np
import pytest
import tiny_models

from instructmining.models.lists import ModelSpec
from instructmining.settings.learning import Finetune
from udfs.finetuning.choices import choose
from udfs.finetuning.finetuner import Finetuner

OPTIONS = ("The sky is blue, 7 times.", "Rain falls on the old stone bridge.", "zq")


def said(prompt: str, response: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]


@pytest.fixture(scope="module")
def tuner(tmp_path_factory):
    folder = str(tiny_models.llama(tmp_path_factory.mktemp("models") / "llama"))
    spec = ModelSpec(kind="causal_lm", source=folder, template="plain", indicators=("perplexity",))
    recipe = Finetune(epochs=3, batch_rows=8, rate=3e-3, max_length=64)
    return Finetuner(spec, folder, "cpu", "float32", 128, recipe)


def test_a_finetuned_model_takes_what_it_was_taught(tuner):
    rows = [said(f"Say {i}.", f"The sky is blue, {i} times.") for i in range(24)]
    tuner.run(rows, {}, 0)
    asked = [said("Say 7.", "hidden"), said("Say 8.", "hidden")]
    assert choose(tuner, asked, [OPTIONS, OPTIONS[::-1]]) == [OPTIONS[0], OPTIONS[0]]


def test_losses_are_those_of_each_conversation_alone(tuner):
    tuner.run([], {}, 0)
    asked = [said("What now?", option) for option in OPTIONS]
    alone = [tuner.evaluate(option, [one]).loss for option, one in zip(OPTIONS, asked, strict=True)]
    assert tuner.mean_losses(asked) == pytest.approx(alone, abs=1e-5)
    assert choose(tuner, [asked[0]], [OPTIONS]) == [OPTIONS[int(np.argmin(alone))]]


def test_a_reply_without_tokens_has_no_loss_and_is_not_taken(tuner):
    tuner.run([], {}, 0)
    assert np.isnan(tuner.mean_losses([said("Now?", " ")])).all()
    asked = [said("Now?", "hidden")] * 2
    assert choose(tuner, asked, [(" ", "a"), (" ", "  ")]) == ["a", ""]


def test_an_option_that_is_likely_after_anything_has_no_advantage(tuner):
    tuner.run([said(f"Say {i}.", f"The sky is blue, {i} times.") for i in range(24)], {}, 0)
    asked = said("Say 7.", "hidden")
    after = tuner.mean_losses([said("Say 7.", option) for option in OPTIONS])
    alone = tuner.mean_losses([said("Say 7.", option)[1:] for option in OPTIONS])
    expected = OPTIONS[int(np.argmin(np.array(after) - np.array(alone)))]
    assert choose(tuner, [asked], [OPTIONS], explained=True) == [expected]

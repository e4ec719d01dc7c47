"""A process holds one large model at a time, or several small ones together."""

import weakref

import tiny_models

from instructmining.models.lists import ModelSpec
from instructmining.settings.learning import Finetune
from instructmining.settings.sections import Measure
from udfs.finetuning.loading import loaded_finetuner
from udfs.indicators import resolve
from udfs.running.scorers import load_scorer, resident


class Model:
    pass


def test_a_model_is_made_once_and_gone_before_another_is_made():
    first = resident(("a",), Model)
    assert resident(("a",), lambda: AssertionError) is first
    gone = weakref.ref(first)
    del first
    alive = []
    resident(("b",), lambda: alive.append(gone()))
    assert alive == [None]


def test_small_models_stay_together_until_one_is_too_large():
    small = resident(("small",), Model, 10)
    resident(("other",), Model, 20)
    assert resident(("small",), lambda: AssertionError, 10) is small
    gone = weakref.ref(small)
    del small
    resident(("large",), Model, 100_000_000)
    assert gone() is None


def test_finetuning_releases_the_scorer_and_a_scorer_the_finetuner(tmp_path):
    folder = tiny_models.llama(tmp_path)
    spec = ModelSpec(kind="causal_lm", source=str(folder), indicators=("nll",))
    model = resolve(spec)
    scorer = weakref.ref(load_scorer(model, "cpu", "float32"))
    assert scorer() is load_scorer(model, "cpu", "float32")
    finetuner = weakref.ref(loaded_finetuner(model, "cpu", "float32", Measure(), Finetune()))
    assert scorer() is None
    assert finetuner() is not None
    load_scorer(model, "cpu", "float32")
    assert finetuner() is None

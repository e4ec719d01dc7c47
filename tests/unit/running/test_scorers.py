"""One scorer per kind, one loaded model per process, and the user's own functions."""

import gc
import importlib
import weakref

import numpy as np
import pytest
import tiny_models
from torch import nn

from instructmining.errors import UserError
from instructmining.models.lists import IMPORTED, ModelSpec
from instructmining.settings.sections import Measure
from udfs.indicators import KINDS, resolve
from udfs.running import scorers
from udfs.running.compiling import compile_in_place, worth_compiling
from udfs.running.measurement import Runtime
from udfs.running.scorers import load_scorer

GREETING = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
CALL = [{"role": "user", "content": "Ring"}, {"role": "assistant", "content": "boom"}]


def word_counts(conversations):
    """A user's function: fails on one row, has no number for another."""
    if any(message["content"] == "boom" for c in conversations for message in c):
        raise ValueError("cannot read boom")
    return [len(c[-1]["content"].split()) or None for c in conversations]


def one_number(conversations):
    return [1.0]


def python_scorer(function):
    spec = ModelSpec(kind="python", function=f"{__name__}:{function}", indicators=("words",))
    return load_scorer(resolve(spec), "cpu")


@pytest.fixture(scope="module")
def language_models(tmp_path_factory):
    folders = [
        build(tmp_path_factory.mktemp("lm")) for build in (tiny_models.llama, tiny_models.gpt2)
    ]
    return [
        resolve(ModelSpec(kind="causal_lm", source=str(f), indicators=("nll",))) for f in folders
    ]


def test_every_kind_has_a_scorer():
    scored = [kind for name, kind in KINDS.items() if name != IMPORTED]  # measured elsewhere
    for kind in scored:
        module, _, name = kind.scorer.partition(":")
        scorer = getattr(importlib.import_module(f"udfs.indicators.{module}"), name)
        assert callable(scorer.measure)
        assert kind.formula >= 1


def test_an_entry_of_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match=r"no kind 'bert'; choose one of causal_lm, .*, unieval"):
        resolve(ModelSpec(kind="bert", indicators=("words",)))


def test_a_model_is_loaded_once_per_process(language_models):
    first = load_scorer(language_models[0], "cpu", "float32")
    assert load_scorer(language_models[0], "cpu", "float32") is first
    assert load_scorer(language_models[0], "cpu", "bfloat16") is not first


def test_loading_a_model_without_room_beside_it_releases_the_first(language_models, monkeypatch):
    monkeypatch.setattr(scorers, "_TOGETHER", 0)
    first = weakref.ref(load_scorer(language_models[0], "cpu", "float32").log_loss.body)
    load_scorer(language_models[1], "cpu", "float32")
    gc.collect()
    assert first() is None


def test_a_function_is_called_with_conversations():
    found = python_scorer("word_counts").measure([GREETING, GREETING])
    assert found.values["words"].tolist() == [1.0, 1.0]
    assert found.reasons == [None, None]


def test_a_row_that_the_function_fails_on_costs_only_itself():
    silent = [{"role": "assistant", "content": ""}]
    found = python_scorer("word_counts").measure([GREETING, CALL, silent])
    assert found.values["words"] == pytest.approx([1.0, np.nan, np.nan], nan_ok=True)
    assert found.reasons == [
        None,
        "failed: ValueError: cannot read boom",
        "the function gave no number",
    ]


def test_a_function_that_loses_rows_is_not_believed():
    found = python_scorer("one_number").measure([GREETING, CALL])
    # Alone each row gets its number; together they would have been shifted.
    assert found.values["words"].tolist() == [1.0, 1.0]
    assert found.reasons == [None, None]


@pytest.mark.parametrize("name", ["no_such_module:f", "udfs.running.scorers:no_such", "nonsense"])
def test_a_function_that_is_not_there_is_named(name):
    spec = ModelSpec(kind="python", function=name, indicators=("words",))
    with pytest.raises(UserError, match="module:function"):
        load_scorer(resolve(spec), "cpu")


def test_packs_and_compiling_are_the_settings_choice(language_models):
    plain = load_scorer(language_models[0], "cpu", "float32")
    packed = load_scorer(language_models[0], "cpu", "float32", measure=Measure(packing=True))
    assert (plain.packed, packed.packed) == (False, True)


def test_long_stages_of_models_that_gain_by_it_are_compiled():
    long = [worth_compiling("causal_lm", rows, 4) for rows in (1_999_999, 2_000_000)]
    assert long == [False, True]
    assert not worth_compiling("sentence_encoder", 2_000_000, 4)


def test_layers_are_compiled_and_not_the_model_around_them(language_models):
    compiled = load_scorer(language_models[0], "cpu", "float32", measure=Measure(compile=True))
    body = compiled.log_loss.body  # nothing is compiled before the first call
    replaced = [name for name, module in body.named_modules() if "forward" in vars(module)]
    assert replaced == [f"layers.{i}" for i in range(body.config.num_hidden_layers)]
    heads = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    compile_in_place(heads, Runtime(compiled=True))
    assert [name for name, module in heads.named_modules() if "forward" in vars(module)] == [""]


@pytest.mark.slow  # compiling for a CPU takes seconds
def test_a_compiled_model_measures_the_same(language_models, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # put back afterwards
    monkeypatch.setenv("TRITON_CACHE_DIR", "")
    plain = load_scorer(language_models[0], "cpu", "float32").measure([GREETING, CALL])
    how = Measure(compile=True, compiled_code=str(tmp_path))
    compiled = load_scorer(language_models[0], "cpu", "float32", measure=how)
    found = compiled.measure([GREETING, CALL])
    assert found.values["nll"] == pytest.approx(plain.values["nll"], rel=1e-5)
    assert any(tmp_path.rglob("*.py"))  # what was compiled lies where the setting says

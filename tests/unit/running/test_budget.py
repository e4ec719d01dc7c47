"""Tokens of a forward pass, from plain values: no GPU is needed."""

import json

import pytest
import tiny_models

from instructmining.models.lists import ModelSpec
from instructmining.models.shape import Shape, shape_of
from udfs.indicators import resolve
from udfs.running.budget import bytes_per_token, default_token_budget, token_budget
from udfs.running.scorers import suiting_budget

GIB = 2**30
# Configs as their authors publish them: layers, width, inner width, heads; parameters.
QWEN_06 = Shape(28, 1024, 3072, 16), 600_000_000
PYTHIA_14 = Shape(24, 2048, 8192, 16), 1_410_000_000
LLAMA_8 = Shape(32, 4096, 14_336, 32), 8_030_000_000
UNIEVAL = Shape(24, 1024, 2816, 16, biased=True), 770_000_000


def budget(model, memory=80 * GIB, longest=2048, width=2):
    shape, parameters = model
    return token_budget("cuda:0", shape, longest, parameters, width, memory)


def test_on_a_gpu_small_models_read_more_tokens_at_once_and_wide_ones_fewer():
    assert budget(QWEN_06) == budget(PYTHIA_14) == 65_536  # as measured on an H200
    assert budget(LLAMA_8) == 32_768
    assert token_budget("cpu", *LLAMA_8[:1], 2048, LLAMA_8[1], 4, 0) == 4_096


@pytest.mark.parametrize("model", [QWEN_06, PYTHIA_14, LLAMA_8, UNIEVAL])
@pytest.mark.parametrize("memory", [8 * GIB, 24 * GIB, 40 * GIB, 80 * GIB, 141 * GIB])
def test_weights_logits_and_states_fit_the_memory(model, memory):
    shape, parameters = model
    tokens = budget(model, memory)
    beside = memory - 2 * parameters - 1.5 * GIB  # libraries, and logits of a language model
    assert tokens == 1_024 or tokens * bytes_per_token(shape, 2048, 2) <= 0.8 * beside


def test_a_model_of_8_b_fits_a_card_of_80_gb_with_the_default_budget():
    shape, parameters = LLAMA_8
    states = budget(LLAMA_8) * bytes_per_token(shape, 4096, 2)
    assert 2 * parameters + states + 1.5 * GIB < 0.5 * 80e9
    assert budget(LLAMA_8, memory=24 * GIB) == 32_768
    assert budget(LLAMA_8, memory=18 * GIB) < 16_384


def test_a_bias_on_attention_scores_is_counted():
    shape, parameters = UNIEVAL
    unbiased = shape._replace(biased=False), parameters
    assert budget(UNIEVAL, 5 * GIB, longest=1024) < budget(unbiased, 5 * GIB, longest=1024)


def test_the_shape_is_read_from_the_config_that_the_model_has(tmp_path):
    assert shape_of(str(tiny_models.llama(tmp_path / "a"))) == Shape(2, 32, 64, 4)
    assert shape_of(str(tiny_models.gpt2(tmp_path / "b"))) == Shape(2, 32, 128, 4)
    assert shape_of(str(tiny_models.t5(tmp_path / "c"))).biased
    nested = {"text_config": {"hidden_size": 8, "num_hidden_layers": 3, "intermediate_size": 9}}
    (tmp_path / "config.json").write_text(json.dumps(nested))
    assert shape_of(str(tmp_path)) == Shape(3, 8, 9, 1)
    assert shape_of(str(tmp_path / "nothing")).hidden == 1024


def test_a_cpu_and_kinds_without_weights_need_no_shape():
    assert (
        suiting_budget(resolve(ModelSpec(kind="mtld", indicators=("mtld",))), "cpu", "float32")
        == 4_096
    )
    assert default_token_budget("cuda:1") == 16_384 > default_token_budget("cpu")

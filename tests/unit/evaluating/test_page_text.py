"""The page of an evaluation: verdicts, tables and what is missing, from numbers given here."""

import pandas as pd
import pytest

from instructmining.errors import UserError
from instructmining.evaluating.arms import balanced, pairs_of, seeds_of, sized
from instructmining.evaluating.page import EvaluationPage, exact, missing
from instructmining.settings.learning import Evaluate, Select

MEANS = pd.DataFrame(
    {
        "evaluation": ["target", "target"],
        "arm": ["selected", "random"],
        "n": [5, 5],
        "loss": [2.3456789, 2.4],
        "low": [2.3, 2.38],
        "high": [2.4, 2.42],
        "sd": [0.01, float("nan")],
    }
)
OUTCOMES = pd.DataFrame(
    {
        "arm": ["selected"] * 5 + ["random"] * 3,
        "examples": [500.0] * 8,
        "steps": [63.0] * 8,
        "tokens": [123_456.0] * 8,
        "train_loss": [2.0] * 8,
    }
)


def page(**changes) -> EvaluationPage:
    differences = pd.DataFrame(
        {
            "evaluation": ["target"],
            "arm": ["selected"],
            "rival": ["random"],
            "n": [5],
            "prompts": [252],
            "difference": [-0.0543],
            "low": [-0.08],
            "high": [-0.03],
            "p": [0.0004],
            "p_adjusted": [0.004],
            "comparisons": [12],
        }
    )
    known = {
        "title": "Evaluation of pool p",
        "notes": ["a caution"],
        "base": {"target": 3.0},
        "wanted": 5,
        "outcomes": OUTCOMES,
        "means": MEANS,
        "differences": differences,
        "failed": {"key": "out of memory"},
        "answers": ["selected wins 60 of 100"],
        "plan": ["| planned |"],
        "further": ["| of other rates |"],
    }
    return EvaluationPage(**{**known, **changes})


def test_an_arm_with_too_few_results_is_named_first_with_the_first_reason():
    sentences = page().sentences()
    assert "arm random: only 3 of 5 finetunes have a result; the first reason: out of memory" in (
        sentences
    )
    assert not any("arm selected" in sentence for sentence in sentences)
    assert missing(OUTCOMES, ["selected", "full"], 5, {}) == [
        "arm full: only 0 of 5 finetunes have a result"
    ]


def test_the_page_has_verdict_answers_tables_plan_and_notes_in_this_order():
    text = page().text()
    marks = [
        "# Evaluation of pool p",
        "- arm random: only",
        "selected beats random by 0.0543",
        "- selected wins 60 of 100",
        "## Mean loss",
        "target (base model 3.0000)",
        "2.3457",
        "## Differences",
        "selected − random",
        "| of other rates |",
        "## Planned before the first run",
        "| planned |",
        "## Notes",
        "- a caution",
    ]
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)
    assert "## Planned" not in page(plan=[]).text()
    assert "base model" not in page(base={}).text()


def test_small_differences_stay_visible_and_absent_numbers_are_a_dash():
    shown = exact(
        pd.DataFrame({"loss": [2.00004, float("nan")], "steps": [63.4, 1e6], "n": [5, 3]})
    )
    assert list(shown["loss"]) == ["2.0000", "–"]
    assert list(shown["steps"]) == ["63", "1,000,000"]
    assert list(shown["n"]) == [5, 3]


def test_seeds_begin_at_the_first_and_an_oracle_adds_its_comparison():
    assert seeds_of(Evaluate(seed=7, seeds=3)) == [7, 8, 9]
    plain = pairs_of(Evaluate())
    assert pairs_of(Evaluate(clean="quality = 'good'")) == (*plain, ("selected", "oracle"))
    further = pairs_of(Evaluate(also=("quality", "ifd")))
    assert set(further) - set(plain) == {("selected", "quality"), ("selected", "ifd")}


@pytest.mark.parametrize(("top", "sources", "each_source"), [(10, 3, 4), (9, 3, 3), (2, 5, 1)])
def test_a_balanced_draw_takes_as_many_of_every_source(top, sources, each_source):
    assert balanced(Select(top=top), sources).per_source == each_source


def test_tokens_cannot_be_shared_among_sources():
    with pytest.raises(UserError, match="give --top instead of --tokens"):
        balanced(Select(tokens=1_000), 3)


def test_one_size_replaces_every_other():
    select = Select(fraction=0.5, per_source=3, strategy="longest")
    assert sized(select, top=9).model_dump(exclude_defaults=True) == {
        "top": 9,
        "per_source": 3,
        "strategy": "longest",
    }
    assert sized(select, tokens=100).tokens == 100
    assert sized(select, tokens=100).fraction is None

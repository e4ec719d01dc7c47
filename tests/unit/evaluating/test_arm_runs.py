"""Passes over the full pool, and what is told where arms differ or nothing came of them."""

from types import SimpleNamespace

import pandas as pd
import pytest

from instructmining.errors import FailedRowsError, UserError
from instructmining.evaluating.arms import Arm
from instructmining.settings.learning import Evaluate, Finetune, Select
from instructmining.settings.sections import Settings
from jobs.evaluating import arm_runs
from jobs.evaluating import run as evaluate_subset
from jobs.evaluating.arm_runs import Experiment, full_epochs
from jobs.evaluating.results import refuse_without_result
from jobs.evaluating.setup import cautions
from jobs.finetuning.waves import Spent

IDS = [f"{i:032x}" for i in range(3000)]


def model(source: str) -> SimpleNamespace:
    return SimpleNamespace(spec=SimpleNamespace(source=source), fingerprint=source)


def experiment(epochs: int, tokens: int | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        task=SimpleNamespace(recipe=Finetune(epochs=epochs, batch_rows=16)),
        setup=SimpleNamespace(resolved={}),
        settings=Settings(evaluate=Evaluate(tokens=tokens)),
    )


def arms(**counts: int) -> list[Arm]:
    return [Arm(name, 0, tuple(IDS[:count]), Select()) for name, count in counts.items()]


def facts(tokens: float) -> pd.DataFrame:
    """Every example has this many tokens, a tenth of them in the prompt."""
    return pd.DataFrame({"input_length": 0.1 * tokens, "output_length": 0.9 * tokens}, index=IDS)


@pytest.mark.parametrize("epochs", [1, 2])
def test_with_a_budget_of_tokens_the_full_pool_reads_as_many_tokens_as_the_others(epochs):
    short = Arm("selected", 0, tuple(IDS[1000:]), Select())  # many of 50 tokens, few of 200
    lengths = pd.concat([facts(200.0).head(1000), facts(50.0).tail(2000)])
    chosen = [short, *arms(random=500, full=500 * epochs)]
    passes = full_epochs(chosen, experiment(epochs, 100_000), lengths)
    others = epochs * 500 * 200
    assert passes * 500 * epochs * 200 == pytest.approx(others, rel=0.01)


def test_a_pool_smaller_than_the_budget_is_read_as_often_as_the_others_read_it():
    assert full_epochs(arms(selected=60, full=60), experiment(3, 10**6), facts(10.0)) == 3


def test_without_a_budget_the_passes_come_closest_to_the_others_steps():
    assert full_epochs(arms(selected=300, full=608), experiment(2), facts(1.0)) == 1
    assert full_epochs(arms(selected=300, full=400), experiment(2), facts(1.0)) == 2  # 50 of 38


def test_the_page_names_the_steps_of_arms_that_differ_in_them():
    setup = SimpleNamespace(
        choice=SimpleNamespace(notes=[], rule=SimpleNamespace(provenance={})),
        finetunes=SimpleNamespace(sets=[], recipe=Finetune(), base=model("mine"), resolved={}),
    )
    found = pd.DataFrame(
        {"arm": ["selected", "random", "full"], "run_key": list("abc"), "steps": [38, 38, 50]}
    )
    said = cautions(setup, found)
    assert said == ["the arms differ in steps: selected 38, random 38, full 50"]
    assert cautions(setup, found.assign(steps=38)) == []
    setup.finetunes.base = model("embedded:lm")
    setup.finetunes.resolved = {"perplexity": model("mine")}
    trained, other = cautions(setup, found.assign(steps=38))
    assert "embedded:lm was trained on half 0 of eight free pools" in trained
    assert "perplexity was measured by mine, another model than the base model" in other


def test_the_budget_of_a_fit_cuts_no_arm(monkeypatch):
    asked = {}
    monkeypatch.setattr(arm_runs, "texts_of", lambda store, ids: {})
    monkeypatch.setattr(arm_runs, "run_finetunes", lambda *given, **more: asked.update(more))
    shared = Settings.model_validate({"fit": {"budget_minutes": 1e-5}})
    Experiment(SimpleNamespace(store=None), shared, "r").run([], "arms")
    assert asked.get("budget") is None


def test_arms_without_any_result_end_with_a_reason():
    none = pd.DataFrame(columns=["run_key"])
    with pytest.raises(FailedRowsError, match="no finetune of an arm has a result: no memory"):
        refuse_without_result(none, Spent(0, 0, {"k": "no memory"}, 1.0, None, 0), "an arm")
    with pytest.raises(FailedRowsError, match="has a result: none was begun"):
        refuse_without_result(none, Spent(0, 0, {}, 1.0, None, 3), "an arm")


def test_a_judge_that_cannot_judge_leaves_the_losses_and_its_reason(monkeypatch):
    def refusing(*given):
        raise UserError("the judge's endpoint answers HTTP 401: the key is refused")

    monkeypatch.setattr(evaluate_subset, "judge_answers", refusing)
    found = pd.DataFrame({"arm": ["selected", "random"]})
    judged, refused = evaluate_subset.judge(experiment(1), [], found)
    assert judged == []
    assert "HTTP 401" in str(refused)

"""Which finetunes other learning rates ask for, and what the plan says of them; none is run."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from instructmining.errors import UserError
from instructmining.evaluating.arms import Arm
from instructmining.evaluating.rate_reading import at_rate
from instructmining.finetunes.runs import Task
from instructmining.settings.learning import Evaluate, Finetune, Select
from instructmining.settings.sections import Settings
from jobs.commands.evaluate import evaluate
from jobs.commands.options import settings_of
from jobs.evaluating import plan as plan_module
from jobs.evaluating import rates as module
from jobs.evaluating.arm_runs import ArmRun, Experiment
from jobs.evaluating.rates import measure_rates
from jobs.finetuning.setup import FinetuneSetup
from jobs.finetuning.waves import Spent

IDS = [f"{i:032x}" for i in range(8)]
FACTS = pd.DataFrame({"source": "s", "reward": 1.0}, index=IDS)
ARMS = [
    Arm(name, seed, tuple(IDS[at : at + 2]), Select())
    for at, name in enumerate(("selected", "longest", "random", "full"))
    for seed in (0, 1)
]
AVERAGE = pd.DataFrame(
    {"evaluation": "t", "arm": ["selected", "longest", "random"], "loss": [2.1, 2.0, 2.2]}
)


def options(*given: str) -> Settings:
    return settings_of("evaluate", evaluate.make_context("evaluate", list(given)).params)


def experiment(rates: tuple[float, ...], rate: float | None = 1e-3) -> Experiment:
    task = Task("base", "f" * 64, Finetune(rate=rate), {"t": "v"}, "float32")
    sets = [SimpleNamespace(name="t", ids=IDS, version="v" * 12)]
    setup = FinetuneSetup(None, None, {}, None, sets, task, None)
    return Experiment(setup, Settings(evaluate=Evaluate(rates=rates, seeds=2)), "r")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Experiment, str]]:
    """Every finetune that is asked for, as its experiment and key; all have a loss."""
    asked: list[tuple[Experiment, str]] = []

    def run(self, plan, name):
        asked.extend((self, each.key) for each in plan)
        return Spent(len(plan), 0, {}, 1.0, None, 0)

    def outcomes(store, runs):
        rows = [
            {
                "arm": one.arm.name,
                "seed": one.arm.seed,
                "losses": {"t": 2.0 + 0.1 * one.arm.name.startswith("random") + 0.01 * place},
                "prompt_losses": None,
            }
            for place, one in enumerate(runs)
        ]
        return pd.DataFrame(rows)

    monkeypatch.setattr(Experiment, "run", run)
    monkeypatch.setattr(module, "outcomes", outcomes)
    monkeypatch.setattr(module, "parameters_of", lambda base: 4_000_000)
    monkeypatch.setattr(module, "store_arms", lambda experiment, runs: None)
    monkeypatch.setattr(module, "store_comparisons", lambda experiment, compared: None)
    return asked


def test_the_winner_and_random_run_again_at_the_other_rates_with_their_examples_and_seeds(asked):
    shared = experiment((0.5, 1.0, 3.0))
    runs = [ArmRun(arm, shared.planned(arm, FACTS), shared) for arm in ARMS]
    found = measure_rates(shared, runs, FACTS, AVERAGE)
    assert found.reading.winner == "longest"
    assert found.spent.runs == 8  # two arms, two other rates, two seeds
    assert sorted(each.task.recipe.rate for each, _ in asked) == [0.0005] * 4 + [0.003] * 4
    usual = {one.run.key for one in runs}
    assert not usual & {key for _, key in asked}
    at_usual = json.loads(shared.task.recipe_json())
    for each, _ in asked:
        assert json.loads(each.task.recipe_json()) == {**at_usual, "rate": each.task.recipe.rate}
    subsets = {one.run.subset for one in runs if one.arm.name in ("longest", "random")}
    wanted = {
        shared.with_recipe(rate=rate).task.key(subset, seed)
        for rate in (0.0005, 0.003)
        for subset in subsets
        for seed in (0, 1)
    }
    assert {key for _, key in asked} == wanted
    assert set(found.reading.means["rate"]) == {0.5, 1.0, 3.0}
    assert any("longest is better than random" in sentence for sentence in found.sentences())


def test_without_rates_nothing_is_run_and_nothing_is_said(asked):
    shared = experiment(())
    found = measure_rates(shared, [], FACTS, AVERAGE)
    assert (found.sentences(), list(found.lines()), asked) == ([], [], [])
    without = AVERAGE[AVERAGE["arm"] != "random"]
    lost = measure_rates(experiment((0.5, 1.0)), [], FACTS, without)
    assert lost.sentences()[0].startswith("no other learning rate is tried: random or every other")
    assert asked == []


def test_the_plan_says_rates_and_their_cost_before_the_first_run(monkeypatch):
    shared = experiment((0.5, 1.0, 2.0), rate=None)
    runs = [ArmRun(arm, shared.planned(arm, FACTS), shared) for arm in ARMS]
    stored = pd.DataFrame({"run_key": ["a"], "subset": ["s"], "losses": [{}], "seconds": [30.0]})
    monkeypatch.setattr(plan_module, "_stored_runs", lambda experiment: stored)
    monkeypatch.setattr(plan_module, "finished", lambda store, keys: keys[:3])
    monkeypatch.setattr(module, "parameters_of", lambda base: 4_000_000)
    text = "\n".join(plan_module.plan_lines(shared, runs))
    assert "| rates | 0.5, 1, 2 times 0.0003, for random and the best of the other arms |" in text
    assert text.endswith(
        "9 finetunes are planned, of which 3 are stored; the other learning rates add 8 at most; "
        "stored ones of this recipe took 30 s each, so 7 min 00 s if they run one after the other"
    )
    monkeypatch.setattr(plan_module, "_stored_runs", lambda experiment: stored.head(0))
    plain = "\n".join(plan_module.plan_lines(experiment(()), runs))
    assert "rates" not in plain
    assert plain.endswith("3 are stored; what they take is said after the first ones")


def test_rates_are_multiples_in_order_with_the_usual_one_among_them():
    assert options("--rates", "2,0.5,2").evaluate.rates == (0.5, 1.0, 2.0)
    assert options("--rates", "1,3").evaluate.rates == (1.0, 3.0)
    assert options().evaluate.rates == ()
    assert at_rate("random", 0.5) == "random at 0.5 times the rate"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--rates", "0,1"), "evaluate.rates: a multiple of the learning rate is above zero"),
        (("--rates=-1",), "above zero"),
        (("--rates", "inf"), "above zero"),
        (("--rates", "nan"), "above zero"),
        (("--rates", "1"), "give 1 to 4 multiples beside 1"),
        (("--rates", "0.1,0.3,3,10,30"), "give 1 to 4 multiples beside 1"),
        (("--rates", "twice"), "evaluate.rates"),
        (("--rates", "2", "--sizes", "8,16"), "give --sizes or --rates"),
    ],
)
def test_a_rate_that_cannot_be_meant_is_one_sentence(given, words):
    with pytest.raises(UserError, match=words):
        options(*given)

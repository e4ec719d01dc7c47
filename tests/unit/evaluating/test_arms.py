"""What the arms of an evaluation get, the options that say so, and what is told of absent runs."""

from types import SimpleNamespace

import pandas as pd
import pytest

from instructmining.errors import UserError
from instructmining.evaluating.arms import ARMS, balanced, pairs_of, recipes
from instructmining.evaluating.page import missing
from instructmining.evaluating.size_reading import second_descent, smallest_as_good
from instructmining.settings.learning import Evaluate, Finetune, Select
from instructmining.settings.sections import Settings
from jobs.commands.evaluate import evaluate
from jobs.commands.options import settings_of
from jobs.evaluating.run import run
from jobs.evaluating.size_curve import ends_of, sizes_of


def options(*given: str) -> Settings:
    return settings_of("evaluate", evaluate.make_context("evaluate", list(given)).params)


def test_the_full_pool_gets_as_many_steps_as_the_others_without_repeating_an_example() -> None:
    found = recipes(Evaluate(top=300), Select(), Finetune(epochs=2, batch_rows=16))
    assert set(found) == set(ARMS)
    assert {name: recipe.top for name, recipe in found.items() if name != "full"} == {
        "selected": 300,
        "diverse": 300,
        "random": 300,
        "longest": 300,
    }
    assert found["full"].top == 2 * 19 * 16  # 19 steps an epoch, the last one not full


def test_arms_of_equal_tokens_have_no_number_of_examples() -> None:
    found = recipes(Evaluate(tokens=9000), Select(), Finetune(epochs=3))
    assert {recipe.top for recipe in found.values()} == {None}
    assert found["random"].tokens == 9000
    assert found["full"].tokens == 27_000


def test_further_arms_are_strategies_without_the_floor_or_equal_parts_of_every_source() -> None:
    evaluate = options("--also", "random_balanced,highest_reward", "--top", "50").evaluate
    found = recipes(evaluate, Select(), Finetune())
    assert list(found)[-2:] == ["random_balanced", "highest_reward"]
    assert (found["highest_reward"].strategy, found["highest_reward"].floor) == (
        "highest_reward",
        "off",
    )
    part = balanced(found["random_balanced"], sources=3)
    assert (part.strategy, part.per_source, part.top) == ("random", 17, 50)
    assert ("selected", "highest_reward") in pairs_of(evaluate)
    tokens = recipes(Evaluate(tokens=900, also=("random_balanced",)), Select(), Finetune())
    with pytest.raises(UserError, match="give --top instead"):
        balanced(tokens["random_balanced"], sources=3)


def test_best_single_differs_from_selected_in_its_order_alone_and_target_has_no_floor() -> None:
    given = Select(strategy="ifd", per_source=7, target="wanted.jsonl", whiten=True)
    evaluate = Evaluate(top=50, also=("best_single", "target"))
    found = recipes(evaluate, given, Finetune())
    assert found["best_single"] == found["selected"].model_copy(update={"strategy": "rule"})
    assert found["target"].model_dump(exclude_defaults=True) == {
        "strategy": "target",
        "target": "wanted.jsonl",
        "whiten": True,
        "top": 50,
    }
    of_tokens = recipes(Evaluate(tokens=900, also=("target",)), given, Finetune())["target"]
    assert (of_tokens.top, of_tokens.tokens, of_tokens.floor) == (None, 900, "on")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--also", "target"), "both or neither"),
        (("--target", "x.jsonl"), "both or neither"),
        (("--strategy", "target", "--target", "x.jsonl"), "no --strategy target"),
    ],
)
def test_half_a_target_is_refused_before_anything_is_read(
    given: tuple[str, ...], words: str
) -> None:
    found = options(*given)
    with pytest.raises(UserError, match=words):
        run(SimpleNamespace(), found)


def test_selected_arms_follow_the_settings_of_select_and_the_others_do_not() -> None:
    given = Select(strategy="ifd", per_source=7, percentile=10, diversity="cosine")
    found = recipes(Evaluate(top=50), given, Finetune())
    assert (found["selected"].strategy, found["selected"].per_source) == ("ifd", 7)
    assert (found["selected"].diversity, found["diverse"].diversity) == ("none", "facility")
    assert (found["selected"].percentile, found["selected"].top) == (None, 50)
    assert (found["random"].strategy, found["random"].per_source) == ("random", None)


def test_options_become_settings() -> None:
    found = options(
        "--store=s",
        "--pool",
        "p",
        "--eval",
        "a=x.jsonl",
        "--eval",
        "y.jsonl",
        "--top=20",
        "--seeds=3",
        "--strategy=ifd",
        "--judge=endpoint",
        "--sizes=8,16",
        "--endpoint=http://localhost:1/v1",
        "--endpoint-model=m",
        "--epochs=1",
        "--judged-prompts=5",
        "--base=other",
        "--set",
        "judge.max_calls=9",
    )
    assert (found.store, found.pool, found.fit.base) == ("s", "p", "other")
    assert found.evaluate.evaluation == ("a=x.jsonl", "y.jsonl")
    assert (found.evaluate.top, found.evaluate.seeds, found.evaluate.sizes) == (20, 3, ("8", "16"))
    assert (found.select.strategy, found.finetune.epochs) == ("ifd", 1)
    assert (
        found.judge.kind,
        found.judge.url,
        found.judge.model,
        found.judge.prompts,
        found.judge.max_calls,
    ) == ("endpoint", "http://localhost:1/v1", "m", 5, 9)


def test_one_seed_is_no_evaluation() -> None:
    with pytest.raises(UserError, match="seeds"):
        options("--seeds=1")


def test_arms_with_fewer_runs_than_seeds_are_named_with_a_reason() -> None:
    outcomes = pd.DataFrame(
        {"arm": ["selected", "selected", "random", "longest", "longest", "full", "full"]}
    )
    said = missing(outcomes, ARMS, 2, {"key": "OutOfMemoryError: no room"})
    assert [line.partition(" finetunes")[0] for line in said] == [
        "arm diverse: only 0 of 2",
        "arm random: only 1 of 2",
    ]
    assert all("OutOfMemoryError: no room" in line for line in said)


def test_sizes_are_numbers_within_the_pool_or_two_ends_of_a_search() -> None:
    assert sizes_of(("300", "100", "300"), 500) == [100, 300]
    assert ends_of(("auto",), 500) == (32, 500)
    assert ends_of(("auto:10-200",), 500) == (10, 200)
    assert ends_of(("100",), 500) is None
    for wrong in (("auto:200-10",), ("auto:1-9999",), ("auto", "3"), ("automatic",)):
        with pytest.raises(UserError, match="--sizes"):
            ends_of(wrong, 500)


def curve(*losses: float, half: float) -> pd.DataFrame:
    sizes = [100 * 2**i for i in range(len(losses))]
    return pd.DataFrame(
        {"size": sizes, "low": [x - half for x in losses], "high": [x + half for x in losses]}
    )


def test_a_second_descent_is_told_only_where_intervals_are_apart() -> None:
    assert second_descent(curve(1.0, 1.2, 0.9, half=0.05)) == 200
    assert second_descent(curve(1.0, 1.2, 0.9, half=0.2)) is None
    assert second_descent(curve(1.2, 1.0, 1.1, half=0.01)) is None


def test_the_smallest_size_within_one_pooled_error_of_the_lowest_is_taken() -> None:
    curve = pd.DataFrame(
        {
            "size": [400, 100, 200],
            "n": [4, 4, 4],
            "loss": [2.00, 2.10, 2.04],
            "sd": [0.01, 0.03, 0.17],
        }
    )
    choice = smallest_as_good(curve)  # alone, 400 has an error of 0.005
    assert choice.error == pytest.approx(((0.01**2 + 0.03**2 + 0.17**2) / 3 / 4) ** 0.5)
    assert (choice.size, choice.lowest) == (200, 400)
    steady = smallest_as_good(curve.assign(sd=[0.01, 0.03, 0.02]))
    assert (steady.size, steady.lowest) == (400, 400)
    single = smallest_as_good(curve.assign(n=1, sd=float("nan")))
    assert (single.size, single.error) == (400, 0.0)

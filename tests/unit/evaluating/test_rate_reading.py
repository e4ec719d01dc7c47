"""Whether a verdict hangs on the learning rate, read from losses given here."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from instructmining.evaluating.rate_reading import RateReading, at_rate, read_rates, winner_of
from instructmining.evaluating.seeds_and_prompts import PromptLosses

RATES = (0.5, 1.0, 2.0)
NOISE = np.array([-0.002, 0.001, 0.002, -0.001, 0.0])  # of five seeds


def losses(selected: dict[float, float], random: dict[float, float]) -> pd.DataFrame:
    """Five seeds of both arms at every rate, around these means."""
    rows = [
        ("set", at_rate(arm, rate), seed, loss + noise)
        for arm, at, spread in (("selected", selected, NOISE), ("random", random, NOISE[::-1]))
        for rate, loss in at.items()
        for seed, noise in enumerate(spread)
    ]
    return pd.DataFrame(rows, columns=["evaluation", "arm", "seed", "loss"])


def read(selected: list[float], random: list[float]) -> RateReading:
    at = (dict(zip(RATES, own, strict=True)) for own in (selected, random))
    return read_rates(losses(*at), "selected", RATES, {})


def test_a_verdict_that_holds_at_every_rate_is_not_decided_by_it() -> None:
    found = read([2.1, 2.0, 2.05], [2.2, 2.1, 2.15])
    counted, best, follows = found.sentences()
    assert counted == "set: selected is better than random at 3 of 3 rates (0.5, 1, 2)"
    assert "(selected 1, random 1)" in best
    assert "the difference selected − random is -0.1000 [" in best
    assert best.endswith(
        "n = 5 seeds; the rates were chosen on the same prompts, which flatters both arms alike"
    )
    assert follows == (
        "set: at the usual rate selected is better, which holds at 3 of 3 rates and with each at "
        "its best: the learning rate does not decide it"
    )


def test_the_difference_at_the_best_rates_is_that_of_scipy() -> None:
    frame = losses({0.5: 2.1, 1.0: 2.0, 2.0: 2.3}, {0.5: 2.05, 1.0: 2.1, 2.0: 2.3})
    row = read_rates(frame, "selected", RATES, {}).at_best.iloc[0]
    assert (row["arm_rate"], row["rival_rate"], row["n"]) == (1.0, 0.5, 5)
    reference = stats.ttest_rel(2.0 + NOISE, 2.05 + NOISE[::-1])
    ends = reference.confidence_interval(0.95)
    assert (row["difference"], row["p"]) == pytest.approx((-0.05, reference.pvalue))
    assert (row["low"], row["high"]) == pytest.approx((ends.low, ends.high))


def test_a_verdict_that_turns_at_another_rate_is_said_to_turn() -> None:
    """Random learns more slowly: at twice the rate it overtakes, and its best is better."""
    counted, best, follows = read([2.1, 2.0, 2.2], [2.2, 2.1, 1.9]).sentences()
    assert counted == (
        "set: selected is better than random at 2 of 3 rates (0.5, 1), random is better at 1 of 3 "
        "rates (2)"
    )
    assert "(selected 1, random 2) the difference selected − random is +0.1000" in best
    assert "random is best at the highest rate that was tried: one beyond may be better" in best
    assert "selected is best at" not in best
    assert follows == (
        "set: at the usual rate selected is better, which holds at 2 of 3 rates; with each at its "
        "best rate random is better: the verdict turns with the learning rate"
    )


def test_a_verdict_of_the_usual_rate_alone_may_be_its_work() -> None:
    counted, _, follows = read([2.0, 2.0, 2.1], [2.0, 2.1, 2.1]).sentences()
    assert counted.endswith(
        "1 of 3 rates (1), no difference can be detected at 2 of 3 rates (0.5, 2)"
    )
    assert follows == (
        "set: at the usual rate selected is better, which holds at that rate only; with each at "
        "its best rate no difference can be detected: the learning rate may decide it"
    )


def test_no_difference_at_any_rate_holds_too() -> None:
    assert read([2.0, 2.0, 2.0], [2.0, 2.0, 2.0]).sentences()[2] == (
        "set: at the usual rate no difference can be detected, which holds at 3 of 3 rates and "
        "with each at its best: the learning rate does not decide it"
    )


def prompts_of(values: dict[tuple[str, float], list[float]], weights: list[float]) -> PromptLosses:
    return PromptLosses(
        {
            (at_rate(arm, rate), seed): np.array(own) + noise
            for (arm, rate), own in values.items()
            for seed, noise in enumerate(NOISE if arm == "selected" else NOISE[::-1])
        },
        np.array(weights),
    )


def test_the_rate_is_chosen_on_every_second_prompt_and_compared_on_the_others() -> None:
    """On all prompts 0.5 is selected's best rate; on the first and third it is 1."""
    values = {
        ("selected", 0.5): [3.0, 1.0, 3.0, 1.0],
        ("selected", 1.0): [2.0, 2.5, 2.0, 2.5],
        ("random", 0.5): [2.0, 3.0, 2.0, 3.5],
        ("random", 1.0): [2.5, 1.0, 2.5, 1.0],
    }
    weights = [10.0, 1.0, 10.0, 3.0]
    known = prompts_of(values, weights)
    rows = [("set", *run, known.mean(*run)) for run in known.losses]
    frame = pd.DataFrame(rows, columns=["evaluation", "arm", "seed", "loss"])
    found = read_rates(frame, "selected", (0.5, 1.0), {"set": known})
    row = found.at_best.iloc[0]
    assert (row["arm_rate"], row["rival_rate"]) == (1.0, 0.5)
    assert (row["chosen_on"], row["prompts"]) == (2, 2)
    by_hand = 2.5 - (3.0 * 1 + 3.5 * 3) / 4  # the second and fourth, by their tokens
    assert row["difference"] == pytest.approx(by_hand)
    assert "2 prompts; the rates were chosen on 2 other prompts" in found.sentences()[1]
    assert set(found.at_rates["prompts"]) == {4}
    few = prompts_of({key: own[:3] for key, own in values.items()}, weights[:3])
    assert read_rates(frame, "selected", (0.5, 1.0), {"set": few}).at_best["chosen_on"][0] == 0


def test_a_rate_at_which_runs_broke_is_not_the_best_one() -> None:
    frame = losses({0.5: 2.1, 1.0: 2.0, 2.0: 1.5}, {0.5: 2.2, 1.0: 2.1, 2.0: 2.3})
    broken = frame[(frame["arm"] != at_rate("selected", 2.0)) | (frame["seed"] == 0)]
    found = read_rates(broken, "selected", RATES, {})
    assert found.at_best["arm_rate"][0] == 1.0
    assert "too few runs at 1 of 3 rates" in found.sentences()[0]


def test_without_runs_of_random_nothing_is_concluded() -> None:
    frame = losses({0.5: 2.1, 1.0: 2.0, 2.0: 2.05}, {})
    _, best, follows = read_rates(frame, "selected", RATES, {}).sentences()
    assert "cannot be compared: n = 0 seeds" in best
    assert follows == "set: too few runs to say whether the learning rate decides"


def test_evaluation_sets_keep_their_own_best_rates_and_sentences() -> None:
    one = losses({0.5: 2.1, 1.0: 2.0, 2.0: 2.3}, {0.5: 2.2, 1.0: 2.1, 2.0: 2.3})
    other = losses({0.5: 2.1, 1.0: 2.2, 2.0: 2.3}, {0.5: 2.2, 1.0: 2.1, 2.0: 2.3})
    frame = pd.concat([one, other.assign(evaluation="other")], ignore_index=True)
    found = read_rates(frame, "selected", RATES, {})
    assert found.at_best.set_index("evaluation")["arm_rate"].to_dict() == {"set": 1.0, "other": 0.5}
    names = [sentence.partition(":")[0] for sentence in found.sentences()]
    assert names == ["set"] * 3 + ["other"] * 3
    text = "\n".join(found.lines())
    assert "## At other learning rates" in text
    assert text.count("| other |") == 6 + 3  # losses of two arms and differences, at three rates


def test_the_winner_is_the_best_arm_that_selects() -> None:
    arms = ["base", "random", "full", "oracle", "diverse", "longest"]
    average = pd.DataFrame(
        {"evaluation": "set", "arm": arms, "loss": [1.0, 1.1, 1.2, 1.3, 1.5, 1.4]}
    )
    assert winner_of(average, "set") == "longest"
    assert winner_of(average[average["arm"] != "random"], "set") is None
    assert winner_of(average.head(4), "set") is None

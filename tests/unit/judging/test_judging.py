"""Verdicts read from a judge's words, both orders, and the forms in which a result is told."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from judge_server import Server, completion, running
from pyspark.sql import Row
from statsmodels.stats.proportion import proportion_confint

from instructmining.errors import UserError
from instructmining.judging.endpoint import JudgeEndpoint
from instructmining.judging.pairs import (
    Counted,
    Judgement,
    Reward,
    Tally,
    both_orders,
    by_reward,
    question,
    read_verdict,
    tally,
    told,
    verdict_key,
)
from instructmining.settings.learning import Judge
from jobs.judging.judge_by_endpoint import judge_by_endpoint
from jobs.judging.judge_by_reward import judge_by_reward, reward_of_row
from jobs.judging.shown_pairs import Shown
from jobs.judging.verdict_table import Ruling

HISTORY = [{"role": "user", "content": "Say hi"}]


def one_seed(win: int = 0, tie: int = 0, lose: int = 0) -> Tally:
    """A pair per prompt."""
    return Tally(((1, 0, 0),) * win + ((0, 1, 0),) * tie + ((0, 0, 1),) * lose)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("A is better. [[A]]", "first"),
        ("[[B]]", "second"),
        ("Both are fine: [[C]]", "tie"),
        ("First I thought [[A]], but no: [[ b ]]", "second"),
        ("[[tie]]", "tie"),
        ("A", "unreadable"),
        ("[A]", "unreadable"),
        ("", "unreadable"),
        ("我认为 [[A]]", "first"),
    ],
)
def test_a_verdict_is_read_from_its_mark_alone(text: str, verdict: str) -> None:
    assert read_verdict(text) == verdict


def test_verdicts_that_follow_the_place_and_not_the_answer_are_a_tie() -> None:
    assert both_orders("first", "second") == "win"
    assert both_orders("second", "first") == "lose"
    assert both_orders("first", "first") == "tie"
    assert both_orders("first", "tie") == "tie"
    assert both_orders("first", "unreadable") == "unreadable"


def test_a_blank_answer_loses_to_any_other() -> None:
    blank = Reward(math.nan)
    assert by_reward(blank, Reward(-9.0)).outcome == "lose"
    assert by_reward(Reward(-9.0), blank).outcome == "win"
    assert by_reward(blank, blank).outcome == "tie"
    assert by_reward(Reward(0.2), Reward(0.1)).outcome == "win"


@pytest.mark.parametrize("other", [Reward(1.0), Reward(math.nan), Reward(math.nan, "failed: too")])
def test_an_answer_whose_reward_could_not_be_measured_loses_to_none(other: Reward) -> None:
    row = Row(value=None, status="failed", reason="failed: out of memory")
    broken = reward_of_row(row)
    assert by_reward(broken, other) == Judgement("unreadable", "failed: out of memory")
    assert by_reward(other, broken).outcome == "unreadable"
    blank = Row(value=None, status="ok", reason="the last assistant turn is blank")
    assert by_reward(reward_of_row(blank), Reward(1.0)) == Judgement("lose")


def test_the_forms_of_the_paper_and_of_the_survey() -> None:
    # 42.5 / 23.8 / 33.7 %, which the survey calls 1.088.
    found = one_seed(win=425, tie=238, lose=337)
    assert found.shares()["win"][0] == pytest.approx(42.5)
    assert found.score == pytest.approx(1.088)
    low, high = found.score_interval()
    # Standard error of a mean of outcomes +1, 0, -1.
    error = math.sqrt((0.762 - 0.088**2) / 1000)
    assert (low, high) == pytest.approx((1.088 - 1.96 * error, 1.088 + 1.96 * error), abs=0.004)


def test_intervals_of_shares_are_wilsons() -> None:
    _, low, high = one_seed(win=0, tie=1, lose=9).shares()["win"]
    assert (low / 100, high / 100) == pytest.approx(proportion_confint(0, 10, method="wilson"))
    assert high > 20  # a share of zero in ten is no certainty


@pytest.mark.parametrize("outcome", ["win", "tie", "lose"])
@pytest.mark.parametrize("seeds", [1, 5])
def test_three_prompts_that_all_agree_are_no_certainty(outcome: Counted, seeds: int) -> None:
    found = tally((str(i), Judgement(outcome)) for i in range(3) for _ in range(seeds))
    low, high = found.score_interval()
    assert low <= found.score <= high
    assert low <= 1 <= high  # the sign test's p is 0.25 here at best
    _, low, high = found.shares()[outcome]
    assert low < 50


def test_the_scores_interval_is_bonett_and_prices() -> None:
    # Theirs for a difference of paired proportions: p1 = (b + 1)/(n + 2), p2 = (c + 1)/(n + 2),
    # p1 - p2 +- z * sqrt((p1 + p2 - (p1 - p2)^2) / (n + 2)).
    p1 = 12 / 32
    p2 = 19 / 32
    half = 1.959964 * math.sqrt((p1 + p2 - (p1 - p2) ** 2) / 32)
    found = one_seed(win=11, tie=1, lose=18).score_interval()
    assert found == pytest.approx((1 + p1 - p2 - half, 1 + p1 - p2 + half))


def test_seeds_that_repeat_one_another_add_no_evidence() -> None:
    once, often = (
        tally(
            (str(i), Judgement("win" if i < 14 else "lose"))
            for i in range(20)
            for _ in range(seeds)
        )
        for seeds in (1, 5)
    )
    assert (once.n, often.n) == (20, 100)
    assert often.p() == once.p() == pytest.approx(0.1153, abs=1e-4)  # 14 of 20, as in any table
    assert often.shares()["win"] == pytest.approx(once.shares()["win"])
    assert often.score_interval() == pytest.approx(once.score_interval())
    assert "n = 20 prompts, 100 pairs" in told("selected", "random", "set", "judge", often)


def test_five_seeds_find_no_more_preferences_that_are_not_there_than_one() -> None:
    drawn = np.random.default_rng(0)
    repeats = 300
    found = 0
    held = 0
    for _ in range(repeats):
        # Arms that are equal over all prompts, each prompt with a leaning of its own.
        wins = drawn.binomial(5, drawn.beta(0.5, 0.5, size=40))
        each = Tally(tuple((int(win), 0, int(5 - win)) for win in wins))
        found += "is preferred" in told("a", "b", "s", "j", each)
        low, high = each.score_interval()
        held += low <= 1 <= high
    assert found / repeats <= 0.06
    assert held / repeats >= 0.94


def test_what_was_not_judged_is_counted_and_told_with_the_commonest_reason() -> None:
    found = tally(
        [
            ("1", Judgement("win")),
            ("2", Judgement("lose")),
            ("3", Judgement("unreadable")),
            ("4", Judgement("unjudged", "HTTP 400: too long")),
            ("5", Judgement("unjudged", "HTTP 503 after 5 attempts")),
            ("6", Judgement("unjudged", "HTTP 503 after 5 attempts")),
        ]
    )
    assert found.n == 2
    said = told("selected", "random", "set", "judge", found)
    assert "no detectable preference" in said
    assert said.endswith(
        "n = 2 prompts, 2 pairs; 1 pairs without a readable verdict; 3 pairs not "
        "judged (mostly: HTTP 503 after 5 attempts)"
    )


def test_a_clear_preference_names_the_winner() -> None:
    assert "selected is preferred to random" in told(
        "selected", "random", "s", "j", one_seed(30, 5, 5)
    )
    assert "random is preferred to selected" in told(
        "selected", "random", "s", "j", one_seed(5, 5, 30)
    )


def test_no_pair_at_all_gives_no_verdict_and_says_why() -> None:
    down = Judgement("unjudged", "ConnectionRefusedError after 5 attempts")
    said = told("selected", "random", "s", "j", tally([("1", down), ("2", down)]))
    assert said.endswith(
        "no pair could be judged; 2 pairs not judged "
        "(mostly: ConnectionRefusedError after 5 attempts)"
    )


def test_the_order_of_the_answers_is_part_of_a_verdicts_key() -> None:
    keys = {
        verdict_key("j", "q", "a", "b"),
        verdict_key("j", "q", "b", "a"),
        verdict_key("k", "q", "a", "b"),
        verdict_key("j", "qa", "", "b"),
    }
    assert len(keys) == 4
    assert verdict_key("j", "q", "a", "b") in keys


def test_the_question_shows_both_answers_between_marks() -> None:
    asked = question(HISTORY, "hi", "你好")
    assert asked.index("user: Say hi") < asked.index("hi\n[End of Answer of assistant A]")
    assert "[Start of Answer of assistant B]\n你好\n[End" in asked


class Remembered(dict[str, str]):
    """Verdicts by their key, kept in memory instead of a table."""

    def known(self, keys: Sequence[str]) -> dict[str, str]:
        return {key: self[key] for key in keys if key in self}

    def add(self, judge: str, verdicts: Iterable[Ruling]) -> None:
        self.update({ruling.shown.key(judge): ruling.verdict for ruling in verdicts})

    def judged(self, server: Server, answers: dict[str, tuple[str, str]]) -> Tally:
        """What the server's judge says of these answers."""
        endpoint = JudgeEndpoint(Judge(url=server.url, model="m", timeout=2, concurrency=1))
        judgements = judge_by_endpoint(self, endpoint, pairs_of(answers))
        return tally(zip(answers, judgements, strict=True))


def pairs_of(answers: dict[str, tuple[str, str]]) -> list[Shown]:
    return [Shown("set", i, HISTORY, texts, ("r", "s")) for i, texts in answers.items()]


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> Remembered:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return Remembered()


def refusing_long(body: dict) -> tuple[int, str, dict[str, str]]:
    """Prefers the answer `good`; a long question is too much for it."""
    asked = body["messages"][1]["content"]
    if "long" in asked:
        return 400, '{"error": {"message": "too many tokens"}}', {}
    return completion("[[A]]" if "assistant A]\ngood" in asked else "[[B]]")


def test_a_question_that_is_refused_costs_no_other_its_verdict(stored: Remembered) -> None:
    answers = {"1": ("good", "bad"), "2": ("good", "long"), "3": ("", "")}
    with running() as server:
        server.replies = [refusing_long]
        found = stored.judged(server, answers)
        assert (found.win, found.tie, found.n) == (1, 1, 2)
        assert found.left_out == (Judgement("unjudged", "HTTP 400: too many tokens"),)
        # The next run asks the refused ones alone: all are refused, and it is no mistake.
        assert stored.judged(server, answers) == found
        assert len(server.seen) == 4 + 2


def test_an_endpoint_that_refuses_every_question_is_a_mistake_of_the_users(
    stored: Remembered,
) -> None:
    with running() as server:
        server.replies = [refusing_long]
        with pytest.raises(UserError, match=r"judge\.url and judge\.model: HTTP 400: too many"):
            stored.judged(server, {"1": ("long", "bad"), "2": ("good", "long")})


def test_another_server_under_the_same_models_name_is_another_judge(stored: Remembered) -> None:
    answers = {"1": ("good", "bad")}
    with running() as server, running() as other:
        server.replies, other.replies = [refusing_long], [completion("[[C]]")]
        assert stored.judged(server, answers).win == 1
        assert stored.judged(other, answers).tie == 1
        assert stored.judged(server, answers).win == 1
        assert (len(server.seen), len(other.seen)) == (2, 2)


def test_a_pair_whose_reward_could_not_be_measured_is_counted_apart_and_not_stored(
    stored: Remembered,
) -> None:
    broken = Reward(math.nan, "failed: out of memory")
    said = {
        ("set", i, text): broken if text == "long" else Reward(float(len(text)))
        for i in "123"
        for text in ("long", "ok", "")
    }
    answers = {"1": ("long", "ok"), "2": ("ok", ""), "3": ("long", "long")}
    judgements = judge_by_reward(stored, "f", pairs_of(answers), said)
    # Equal answers are a tie whatever can be measured.
    assert judgements == [
        Judgement("unreadable", broken.failure),
        Judgement("win"),
        Judgement("tie"),
    ]
    assert sorted(stored.values()) == ["first", "tie"]

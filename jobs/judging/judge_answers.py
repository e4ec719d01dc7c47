"""Compare two arms by what their models answer: each pair is a win, a tie or a loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import eq
from typing import NamedTuple

from instructmining.errors import UserError
from instructmining.evaluating.arms import ARMS
from instructmining.finetunes.evaluation_sets import EvaluationSet
from instructmining.judging.answer_forms import keeps_form
from instructmining.judging.endpoint import JudgeEndpoint
from instructmining.judging.pairs import Judgement, Tally, preferred, tally, told
from instructmining.judging.right_answers import Right, by_match, is_right, rights_of
from instructmining.models.lists import ResolvedModel
from instructmining.settings.learning import Judge
from jobs.evaluating.arm_runs import ArmRun, Experiment
from jobs.judging.answers import prompts_of
from jobs.judging.judge_by_endpoint import judge_by_endpoint
from jobs.judging.judge_by_reward import judge_by_reward, rewards_of
from jobs.judging.shown_pairs import Shown, shown_pairs
from jobs.judging.verdict_table import VerdictTable


class _Rule(NamedTuple):
    """A judge that needs no model: what makes an answer right, and both in words."""

    right: Right
    name: str
    counted: str = "right answers"


_RULES = {
    "match": _Rule(is_right, "match with the reference"),
    "choice": _Rule(eq, "likeliest option"),  # an option is taken as it is written
    "response": _Rule(eq, "choice among responses", "own responses taken"),
    "form": _Rule(keeps_form, "the reference's form", "answers in the reference's form"),
}


@dataclass(frozen=True)
class Judged:
    """What the judge said of one evaluation set.

    Attributes:
        evaluation: its name.
        tally: outcomes for the first of the two arms.
        sentence: the same in words.
        preferred: the arm that the answers speak for; None for neither.
    """

    evaluation: str
    tally: Tally
    sentence: str
    preferred: str | None = None


def judge_answers(
    experiment: Experiment, runs: Sequence[ArmRun], reward: ResolvedModel | None
) -> list[Judged]:
    """Let the two arms of the settings answer, and judge their answers.

    Args:
        experiment: its settings say which arms, seeds, prompts and judge.
        runs: of all arms.
        reward: the model list's reward model.

    Raises:
        UserError: no such arm, no reward model, or a mistake in the endpoint's settings.
    """
    judge = experiment.settings.judge
    check_judge(judge, reward, experiment.sets)
    prompts = prompts_of(experiment.sets, judge)
    pairs = list(shown_pairs(experiment, runs, prompts))
    judgements = _judgements(experiment, reward, pairs)
    judged = []
    for evaluation in experiment.sets:
        own = [
            (shown, judgement)
            for shown, judgement in zip(pairs, judgements, strict=True)
            if shown.evaluation == evaluation.name
        ]
        outcomes = tally((shown.example_id, judgement) for shown, judgement in own)
        sentence = _sentence(judge, evaluation.name, outcomes, [shown for shown, _ in own])
        better = preferred(*judge.arms, outcomes)
        judged.append(Judged(evaluation.name, outcomes, sentence, better))
    return judged


def check_judge(judge: Judge, reward: ResolvedModel | None, sets: Sequence[EvaluationSet]) -> None:
    """Refuse a judge that cannot judge, before hours are spent on what it would read.

    Raises:
        UserError: no such arm, no reward model, no options to choose from, no reference with a
            form, or a mistake in the endpoint's settings.
    """
    if judge.kind in ("choice", "response", "form"):
        prompts_of(sets, judge)
    if judge.kind == "endpoint":
        JudgeEndpoint(judge)
    if judge.kind == "reward" and reward is None:
        raise UserError(
            "--judge reward needs a reward model in the model list: name another list, "
            "or --judge none"
        )
    if unknown := [arm for arm in judge.arms if arm not in ARMS]:
        raise UserError(f"judge.arms: there is no arm {unknown[0]}; known: {', '.join(ARMS)}")


def _sentence(judge: Judge, evaluation: str, outcomes: Tally, pairs: Sequence[Shown]) -> str:
    rule = _RULES.get(judge.kind)
    if rule is None:
        name = "reward" if judge.kind == "reward" else f"{judge.model}, both orders"
        return told(*judge.arms, evaluation, name, outcomes)
    rights = rights_of(((s.answers, s.reference) for s in pairs), rule.right)
    said = told(*judge.arms, evaluation, rule.name, outcomes)
    return f"{said}; {rights.words(*judge.arms, rule.counted)}"


def _judgements(
    experiment: Experiment, reward: ResolvedModel | None, pairs: Sequence[Shown]
) -> list[Judgement]:
    judge = experiment.settings.judge
    if rule := _RULES.get(judge.kind):
        return [by_match(shown.answers, shown.reference, rule.right) for shown in pairs]
    verdicts = VerdictTable(experiment.store, experiment.run_id)
    if reward is None or judge.kind == "endpoint":
        return judge_by_endpoint(verdicts, JudgeEndpoint(judge), pairs)
    rewards = rewards_of(experiment, reward, pairs)
    return judge_by_reward(verdicts, reward.fingerprint, pairs, rewards)

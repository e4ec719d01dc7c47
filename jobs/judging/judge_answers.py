"""Compare two arms by what their models answer: each pair is a win, a tie or a loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import eq

from instructmining.errors import UserError
from instructmining.evaluating.arms import ARMS
from instructmining.evaluating.judge_endpoint import JudgeEndpoint
from instructmining.evaluating.judging import Judgement, Tally, preferred, tally, told
from instructmining.evaluating.right_answers import Right, by_match, is_right, rights_of
from instructmining.finetunes.evaluation_sets import EvaluationSet
from instructmining.models.lists import ResolvedModel
from instructmining.settings.learning import Judge
from jobs.evaluating.arm_runs import ArmRun, Experiment
from jobs.judging.answers import prompts_of
from jobs.judging.judge_by_endpoint import judge_by_endpoint
from jobs.judging.judge_by_reward import judge_by_reward, rewards_of
from jobs.judging.shown_pairs import Shown, shown_pairs
from jobs.judging.verdict_table import VerdictTable

# Judges that need no model: what makes an answer right. An option is taken as it is written.
_RIGHT: dict[str, Right] = {"match": is_right, "choice": eq}


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
        UserError: no such arm, no reward model, no options to choose from, or a mistake in the
            endpoint's settings.
    """
    if judge.kind == "choice":
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
    if judge.kind not in _RIGHT:
        name = "reward" if judge.kind == "reward" else f"{judge.model}, both orders"
        return told(*judge.arms, evaluation, name, outcomes)
    name = "likeliest option" if judge.kind == "choice" else "match with the reference"
    rights = rights_of(((s.answers, s.reference) for s in pairs), _RIGHT[judge.kind])
    return f"{told(*judge.arms, evaluation, name, outcomes)}; {rights.words(*judge.arms)}"


def _judgements(
    experiment: Experiment, reward: ResolvedModel | None, pairs: Sequence[Shown]
) -> list[Judgement]:
    judge = experiment.settings.judge
    if right := _RIGHT.get(judge.kind):
        return [by_match(shown.answers, shown.reference, right) for shown in pairs]
    verdicts = VerdictTable(experiment.store, experiment.run_id)
    if reward is None or judge.kind == "endpoint":
        return judge_by_endpoint(verdicts, JudgeEndpoint(judge), pairs)
    rewards = rewards_of(experiment, reward, pairs)
    return judge_by_reward(verdicts, reward.fingerprint, pairs, rewards)

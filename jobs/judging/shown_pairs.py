"""Pairs of answers as a judge sees them: two arms, the same prompt, the same seed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from instructmining.judging.pairs import question, verdict_key
from instructmining.settings.learning import Judge
from jobs.evaluating.arm_runs import ArmRun, Experiment
from jobs.judging.answers import Prompts, answered
from udfs.running.measurement import Conversation
from udfs.texts.conversations import up_to_last_reply


@dataclass(frozen=True)
class Shown:
    """Two answers to one prompt, in the order in which a judge sees them.

    Attributes:
        evaluation: name of the evaluation set.
        example_id: of the prompt.
        history: the conversation up to the answers.
        answers: the two texts.
        runs: keys of the finetuning runs that answered.
        reference: the answer of the evaluation set.
    """

    evaluation: str
    example_id: str
    history: Conversation
    answers: tuple[str, str]
    runs: tuple[str, str]
    reference: str = ""

    @property
    def equal(self) -> bool:
        """Whether both answers are the same, which is a tie without asking anybody."""
        return self.answers[0] == self.answers[1]

    def turned(self) -> "Shown":
        """The same pair in the other order."""
        answers = self.answers[::-1]
        runs = self.runs[::-1]
        return replace(self, answers=answers, runs=runs)

    def key(self, judge: str) -> str:
        """The key under which this judge's verdict is stored."""
        return verdict_key(judge, question(self.history, "", ""), *self.answers)


def shown_pairs(
    experiment: Experiment, runs: Sequence[ArmRun], prompts: Prompts
) -> Iterator[Shown]:
    """The answers of the two judged arms, pair by pair; answers that are missing are generated."""
    judge = experiment.settings.judge
    evaluate = experiment.settings.evaluate
    run_of = {(run.arm.name, run.arm.seed): run for run in runs}
    conversations = {(name, i): text for name, listed in prompts.items() for i, text in listed}
    for seed in range(evaluate.seed, evaluate.seed + min(judge.seeds, evaluate.seeds)):
        pair = [run_of[arm, seed] for arm in judge.arms]
        yield from _pairs_of(pair, _answers(pair, prompts, judge), conversations)


def _answers(pair: Sequence[ArmRun], prompts: Prompts, judge: Judge) -> pd.DataFrame:
    """The answers of both arms, in one wave unless they are finetuned differently."""
    first, second = pair
    if first.experiment.task == second.experiment.task:
        return answered(first.experiment, [first.run, second.run], prompts, judge)
    return pd.concat([answered(arm.experiment, [arm.run], prompts, judge) for arm in pair])


def _pairs_of(
    pair: Sequence[ArmRun],
    answers: pd.DataFrame,
    conversations: Mapping[tuple[str, str], Conversation],
) -> Iterator[Shown]:
    first, second = (arm.run.key for arm in pair)
    columns = ["run_key", "evaluation", "example_id"]
    text_of = answers.drop_duplicates(columns).set_index(columns)["answer"]
    for (evaluation, i), conversation in conversations.items():
        texts = (str(text_of[first, evaluation, i]), str(text_of[second, evaluation, i]))
        *history, reply = up_to_last_reply(conversation)
        yield Shown(evaluation, i, history, texts, (first, second), reply["content"])

"""Compare two arms by what their models answer: pairs, judged once, counted as win, tie or lose."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from pyspark.sql import Row
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.evaluating.arms import ARMS
from instructmining.evaluating.judge_endpoint import JudgeEndpoint, Reply
from instructmining.evaluating.judging import (
    QUESTION_VERSION,
    SYSTEM,
    Judgement,
    Outcome,
    Reward,
    Tally,
    Verdict,
    both_orders,
    by_reward,
    question,
    read_verdict,
    tally,
    told,
    verdict_key,
)
from instructmining.models.lists import ResolvedModel
from instructmining.settings.learning import Judge
from instructmining.store.schemas import TABLES
from jobs.evaluating.answers import Prompts, answered, prompts_of
from jobs.evaluating.arm_runs import ArmRun, Experiment
from udfs.indicator import with_measurements
from udfs.on_spark.placement import gpu_profile, model_slots, ship
from udfs.running.measurement import Conversation
from udfs.texts.conversations import up_to_last_reply

_PLACES: dict[Outcome, Verdict] = {"win": "first", "lose": "second", "tie": "tie"}
_AT_ONCE = 64  # questions between two commits: what a stopped run asks again at most


@dataclass(frozen=True)
class Shown:
    """Two answers to one prompt, in the order in which a judge sees them."""

    evaluation: str
    example_id: str
    history: Conversation
    answers: tuple[str, str]
    runs: tuple[str, str]

    @property
    def equal(self) -> bool:
        """Both answers are the same: a tie that nobody has to be asked about."""
        return self.answers[0] == self.answers[1]

    def turned(self) -> "Shown":
        """The other order."""
        return Shown(
            self.evaluation, self.example_id, self.history, self.answers[::-1], self.runs[::-1]
        )

    def key(self, judge: str) -> str:
        """Of the verdict."""
        return verdict_key(judge, question(self.history, "", ""), *self.answers)


@dataclass(frozen=True)
class Judged:
    """What the judge said of one evaluation set.

    Attributes:
        evaluation: its name.
        tally: outcomes for the first of the two arms.
        sentence: the same in words.
    """

    evaluation: str
    tally: Tally
    sentence: str


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
    check_judge(judge, reward)
    prompts = prompts_of(experiment.sets, judge.prompts)
    pairs = list(_pairs(experiment, runs, prompts))
    judged = (
        _by_endpoint(experiment, JudgeEndpoint(judge), pairs)
        if reward is None or judge.kind == "endpoint"
        else _by_reward(experiment, reward, pairs)
    )
    name = judge.kind if judge.kind == "reward" else f"{judge.model}, both orders"
    arm, rival = judge.arms
    found = []
    for each in experiment.sets:
        counted = tally(
            (pair.example_id, said)
            for pair, said in zip(pairs, judged, strict=True)
            if pair.evaluation == each.name
        )
        found.append(Judged(each.name, counted, told(arm, rival, each.name, name, counted)))
    return found


def check_judge(judge: Judge, reward: ResolvedModel | None) -> None:
    """Refuse a judge that cannot judge, before hours are spent on what it would read.

    Raises:
        UserError: no such arm, no reward model, or a mistake in the endpoint's settings.
    """
    if judge.kind == "endpoint":
        JudgeEndpoint(judge)
    if judge.kind == "reward" and reward is None:
        raise UserError(
            "--judge reward needs a reward model in the model list: name another list, "
            "or --judge none"
        )
    if unknown := [arm for arm in judge.arms if arm not in ARMS]:
        raise UserError(f"judge.arms: there is no arm {unknown[0]}; known: {', '.join(ARMS)}")


def _pairs(experiment: Experiment, runs: Sequence[ArmRun], prompts: Prompts) -> Iterator[Shown]:
    judge = experiment.settings.judge
    evaluate = experiment.settings.evaluate
    by_place = {(each.arm.name, each.arm.seed): each for each in runs}
    texts = {(name, i): c for name, each in prompts.items() for i, c in each}
    for seed in range(evaluate.seed, evaluate.seed + min(judge.seeds, evaluate.seeds)):
        pair = [by_place[arm, seed] for arm in judge.arms]
        yield from _shown(pair, _answers(pair, prompts, judge), texts)


def _answers(pair: Sequence[ArmRun], prompts: Prompts, judge: Judge) -> pd.DataFrame:
    """Of both arms in one wave, unless they are finetuned differently."""
    first, second = pair
    if first.experiment.task == second.experiment.task:
        return answered(first.experiment, [first.run, second.run], prompts, judge)
    return pd.concat([answered(each.experiment, [each.run], prompts, judge) for each in pair])


def _shown(
    pair: Sequence[ArmRun], answers: pd.DataFrame, texts: dict[tuple[str, str], Conversation]
) -> Iterator[Shown]:
    keys = [each.run.key for each in pair]
    known = answers.drop_duplicates(["run_key", "evaluation", "example_id"])
    said = known.set_index(["run_key", "evaluation", "example_id"])["answer"]
    for (evaluation, i), conversation in texts.items():
        own, theirs = (str(said[key, evaluation, i]) for key in keys)
        history = up_to_last_reply(conversation)[:-1]
        yield Shown(evaluation, i, history, (own, theirs), (keys[0], keys[1]))


def _by_reward(
    experiment: Experiment, reward: ResolvedModel, pairs: Sequence[Shown]
) -> list[Judgement]:
    judge = f"reward {reward.fingerprint}"
    rewards = _rewards(
        experiment,
        reward,
        sorted(
            {(each.evaluation, each.example_id, text) for each in pairs for text in each.answers}
        ),
        {(each.evaluation, each.example_id): each.history for each in pairs},
    )
    judged = []
    rows = []
    for each in pairs:
        own, theirs = (rewards[each.evaluation, each.example_id, a] for a in each.answers)
        said = Judgement("tie") if each.equal else by_reward(own, theirs)
        judged.append(said)
        if said.outcome in _PLACES:
            margin = own.value - theirs.value
            rows.append(_row(experiment, judge, each, _PLACES[said.outcome], margin, None))
    _store(experiment, rows, "reward")
    return judged


def _rewards(
    experiment: Experiment,
    reward: ResolvedModel,
    texts: Sequence[tuple[str, str, str]],
    histories: dict[tuple[str, str], Conversation],
) -> dict[tuple[str, str, str], Reward]:
    """Reward of every answer to its prompt."""
    store = experiment.store
    measure = experiment.settings.measure
    spark = store.spark
    rows = [
        (str(number), 0, [*map(dict, histories[name, i]), {"role": "assistant", "content": text}])
        for number, (name, i, text) in enumerate(texts)
    ]
    columns = "example_id STRING, bucket INT, messages ARRAY<STRUCT<role: STRING, content: STRING>>"
    examples = spark.createDataFrame(rows, columns).repartition(model_slots(spark, measure))
    found = with_measurements(examples, ship(spark, reward), measure, gpu_profile(spark, measure))
    name = reward.spec.indicators[0]
    measured = {
        row.example_id: _reward(row)
        for row in found.select(
            "example_id", F.col("values")[name].alias("value"), "status", "reason"
        ).collect()
    }
    return {text: measured[str(number)] for number, text in enumerate(texts)}


def _reward(row: Row) -> Reward:
    """Of a row that the reward model measured, or could not."""
    return Reward(
        float("nan") if row.value is None else float(row.value),
        row.reason if row.status == "failed" else None,
    )


def _by_endpoint(
    experiment: Experiment, endpoint: JudgeEndpoint, pairs: Sequence[Shown]
) -> list[Judgement]:
    # With the URL: another server under the same model's name is another judge.
    judge = f"{endpoint.judge.model} at {endpoint.url} {QUESTION_VERSION}"
    different = [each for each in pairs if not each.equal]
    wanted = {shown.key(judge): shown for each in different for shown in (each, each.turned())}
    known = _known(experiment, list(wanted))
    replies: dict[str, Reply] = {}
    todo = [(key, shown) for key, shown in wanted.items() if key not in known]
    if todo:
        print(
            f"judge: {len(todo):,} questions to {endpoint.judge.model}, {len(known):,} answered "
            "before",
            flush=True,
        )
    for start in range(0, len(todo), _AT_ONCE):
        replies |= _ask(experiment, endpoint, judge, todo[start : start + _AT_ONCE])
    if todo and not known and all(reply.refused for reply in replies.values()):
        raise UserError(
            "the judge's endpoint refuses every question, see judge.url and "
            f"judge.model: {replies[todo[0][0]].reason}"
        )
    known |= {k: read_verdict(r.text) for k, r in replies.items() if r.text is not None}
    return [_judgement(each, judge, known, replies) for each in pairs]


def _ask(
    experiment: Experiment, endpoint: JudgeEndpoint, judge: str, todo: Sequence[tuple[str, Shown]]
) -> dict[str, Reply]:
    """Ask and store; what has no reply is not stored, so that another run asks again."""
    replies = endpoint.ask_all([(SYSTEM, question(s.history, *s.answers)) for _, s in todo])
    rows = [
        _row(experiment, judge, shown, read_verdict(reply.text), None, reply.tokens)
        for (_, shown), reply in zip(todo, replies, strict=True)
        if reply.text is not None
    ]
    _store(experiment, rows, todo[0][0])
    return {key: reply for (key, _), reply in zip(todo, replies, strict=True)}


def _judgement(
    each: Shown, judge: str, known: dict[str, Verdict], replies: dict[str, Reply]
) -> Judgement:
    if each.equal:
        return Judgement("tie")
    straight = each.key(judge)
    turned = each.turned().key(judge)
    if missing := [key for key in (straight, turned) if key not in known]:
        return Judgement("unjudged", replies[missing[0]].reason)
    return Judgement(both_orders(known[straight], known[turned]))


def _known(experiment: Experiment, keys: Sequence[str]) -> dict[str, Verdict]:
    rows = experiment.store.read("verdicts").where(F.col("verdict_key").isin(list(keys)))
    return {row.verdict_key: row.verdict for row in rows.collect()}


def _row(
    experiment: Experiment,
    judge: str,
    shown: Shown,
    verdict: Verdict,
    margin: float | None,
    tokens: int | None,
) -> tuple[object, ...]:
    return (
        shown.key(judge),
        judge,
        shown.evaluation,
        shown.example_id,
        *shown.runs,
        verdict,
        None if margin is None or margin != margin else margin,
        tokens,
        experiment.run_id,
    )


def _store(experiment: Experiment, rows: Sequence[tuple[object, ...]], part: str) -> None:
    known = _known(experiment, [str(row[0]) for row in rows])
    new = list({row[0]: row for row in rows if row[0] not in known}.values())
    if not new:
        return
    store = experiment.store
    frame = store.spark.createDataFrame(new, TABLES["verdicts"].ddl)
    store.append(
        frame, "verdicts", f"{experiment.run_id}/verdicts/{part}", {"run_id": experiment.run_id}
    )

"""The reward model as judge: the answer with the higher reward wins."""

from collections.abc import Mapping, Sequence

from pyspark.sql import Row
from pyspark.sql import functions as F

from instructmining.judging.pairs import Judgement, Outcome, Reward, Verdict, by_reward
from instructmining.models.lists import ResolvedModel
from instructmining.spark.frames import small_frame
from instructmining.store.schemas import MEASURABLE
from jobs.evaluating.arm_runs import Experiment
from jobs.judging.shown_pairs import Shown
from jobs.judging.verdict_table import Ruling, Verdicts
from udfs.indicator import Spending, with_measurements
from udfs.on_spark.placement import gpu_profile, model_slots, ship
from udfs.running.measurement import NOT_ASKED

Answer = tuple[str, str, str]  # evaluation set, example id, text
_PLACES: dict[Outcome, Verdict] = {"win": "first", "lose": "second", "tie": "tie"}


def judge_by_reward(
    verdicts: Verdicts, fingerprint: str, pairs: Sequence[Shown], rewards: Mapping[Answer, Reward]
) -> list[Judgement]:
    """Judge each pair; only those whose rewards could be measured are stored.

    Args:
        verdicts: where they are stored.
        fingerprint: of the reward model.
        pairs: what to judge.
        rewards: of every answer of the pairs.
    """
    judged = []
    rulings = []
    for shown in pairs:
        first, second = (rewards[shown.evaluation, shown.example_id, a] for a in shown.answers)
        judgement = Judgement("tie") if shown.equal else by_reward(first, second)
        judged.append(judgement)
        if judgement.outcome in _PLACES:
            place = _PLACES[judgement.outcome]
            rulings.append(Ruling(shown, place, margin=first.value - second.value))
    verdicts.add(f"reward {fingerprint}", rulings)
    return judged


def rewards_of(
    experiment: Experiment, reward: ResolvedModel, pairs: Sequence[Shown]
) -> dict[Answer, Reward]:
    """The reward of every answer to its prompt, measured on Spark."""
    measure = experiment.settings.measure
    spark = experiment.store.spark
    history_of = {(shown.evaluation, shown.example_id): shown.history for shown in pairs}
    answers = sorted({(s.evaluation, s.example_id, text) for s in pairs for text in s.answers})
    rows = [
        (str(number), 0, [*map(dict, history_of[name, i]), {"role": "assistant", "content": text}])
        for number, (name, i, text) in enumerate(answers)
    ]
    slots = model_slots(spark, measure)
    examples = small_frame(spark, rows, MEASURABLE).repartition(slots)
    measured = with_measurements(
        examples,
        ship(spark, reward),
        measure,
        gpu_profile(spark, measure),
        spending=Spending(experiment.settings.endpoint, slots),
    )
    value = F.col("values")[reward.spec.indicators[0]].alias("value")
    collected = measured.select("example_id", value, "status", "reason").collect()
    reward_of = {row.example_id: reward_of_row(row) for row in collected}
    not_asked = Reward(float("nan"), NOT_ASKED)
    return {answer: reward_of.get(str(number), not_asked) for number, answer in enumerate(answers)}


def reward_of_row(row: Row) -> Reward:
    """The reward in a row `value, status, reason`; NaN where there is none."""
    value = float("nan") if row.value is None else float(row.value)
    return Reward(value, row.reason if row.status == "failed" else None)

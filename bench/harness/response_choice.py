"""A task metric beside the loss: which of four responses belongs to a prompt.

    taken = argmin over options of (mean NLL after the prompt − mean NLL alone)

By how much the prompt explains an option, so that fluent options have no advantage (Holtzman et al.
2021, arXiv 2104.08315). The other three options are responses of the same evaluation set that are
nearest in length. Chance takes the right one in a quarter of the prompts.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from bench.harness.proof_arms import Planned
from instructmining.evaluating.arms import BASE
from instructmining.evaluating.seeds_and_prompts import PromptLosses
from jobs.finetuning.candidates import texts_of
from udfs.finetuning.loading import loaded_finetuner
from udfs.indicator import task_place
from udfs.on_spark.placement import arrived, gpu_profile, in_model_workers, model_slots, ship
from udfs.running.measurement import Conversation, Message
from udfs.texts.conversations import up_to_last_reply

_OPTIONS = 4
_RUN = tuple[str, int, tuple[str, ...]]  # arm, seed, example ids


class Question(NamedTuple):
    """A conversation without its last reply, and replies, of which the first is its own."""

    asked: list[Message]
    options: tuple[str, ...]


class Errors(NamedTuple):
    """Shares of wrong choices, in the form of losses.

    Attributes:
        losses: `evaluation`, `arm`, `seed`, `loss`, the base among the arms.
        prompts: 0 or 1 for single prompts, by evaluation set.
    """

    losses: pd.DataFrame
    prompts: Mapping[str, PromptLosses]


def questions_of(conversations: Sequence[Conversation]) -> list[Question]:
    """Each conversation with its own reply and the three that are nearest in length."""
    turns = [up_to_last_reply(conversation) for conversation in conversations]
    replies = [turn[-1]["content"] for turn in turns]
    by_length = sorted(range(len(replies)), key=lambda i: (len(replies[i]), i))
    questions = []
    for place, i in enumerate(by_length):
        others = [j for j in by_length if replies[j] != replies[i]]
        near = sorted(others, key=lambda j: abs(by_length.index(j) - place))[: _OPTIONS - 1]
        options = (replies[i], *(replies[j] for j in near))
        questions.append((i, Question(list(turns[i][:-1]), options)))
    return [question for _, question in sorted(questions)]


def wrong(finetuner: Any, questions: Sequence[Question]) -> list[int]:
    """1 for every question whose own reply is not taken, with the weights as they are now."""
    after = [[*q.asked, _reply(option)] for q in questions for option in q.options]
    alone = [[_reply(option)] for q in questions for option in q.options]
    explained = np.array(finetuner.mean_losses(after)) - np.array(finetuner.mean_losses(alone))
    by_question = np.nan_to_num(explained, nan=np.inf).reshape(len(questions), _OPTIONS)
    return [int(taken != 0) for taken in by_question.argmin(axis=1)]


def _reply(text: str) -> Message:
    return {"role": "assistant", "content": text}


def errors_of(plan: Planned, kept: Path) -> Errors:
    """Finetune every arm again, whose weights are not kept, and let it choose.

    Args:
        plan: of a pool.
        kept: a file that holds what is known already, and gains what is measured.
    """
    runs: list[_RUN] = [(one.arm.name, one.arm.seed, tuple(one.arm.ids)) for one in plan.runs]
    seeds = sorted({seed for _, seed, _ in runs})
    known = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    for seed in seeds:  # what is broken off has whole seeds
        wave = [run for run in runs if run[1] == seed]
        wave += [(BASE, seed, ())] if seed == seeds[0] else []
        if todo := [run for run in wave if _key(*run[:2]) not in known]:
            known |= _measured(plan, todo)
            kept.write_text(json.dumps(known), encoding="utf-8")
    known |= {_key(BASE, seed): known[_key(BASE, seeds[0])] for seed in seeds}
    names = [*dict.fromkeys(name for name, _, _ in runs), BASE]
    return _errors(known, names, seeds)


def _key(arm: str, seed: int) -> str:
    return f"{arm}: {seed}"


def _errors(
    known: Mapping[str, Mapping[str, Sequence[int]]], arms: Sequence[str], seeds: Sequence[int]
) -> Errors:
    rows, prompts = [], {}
    for evaluation in known[_key(arms[0], seeds[0])]:
        single = {
            (arm, seed): np.array(known[_key(arm, seed)][evaluation], float)
            for arm in arms
            for seed in seeds
        }
        rows += [(evaluation, arm, seed, float(one.mean())) for (arm, seed), one in single.items()]
        prompts[evaluation] = PromptLosses(single, np.ones(len(next(iter(single.values())))))
    return Errors(pd.DataFrame(rows, columns=["evaluation", "arm", "seed", "loss"]), prompts)


def _measured(plan: Planned, runs: Sequence[_RUN]) -> dict[str, dict[str, list[int]]]:
    """By run and evaluation set, 1 for every wrong choice."""
    experiment = plan.experiment
    spark = experiment.store.spark
    texts = texts_of(experiment.store, sorted({i for _, _, ids in runs for i in ids}))
    given = [(arm, seed, [texts[i] for i in ids]) for arm, seed, ids in runs]
    asked = {one.name: questions_of(one.conversations) for one in experiment.sets}
    measure, recipe = experiment.setup.measure, experiment.task.recipe
    model = ship(spark, experiment.setup.base)

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch["id"].to_pylist():
                arm, seed, rows = given[number]
                device, dtype = task_place(measure)
                finetuner = loaded_finetuner(arrived(model), device, dtype, measure, recipe)
                finetuner.run(rows, {}, seed)
                found = {name: wrong(finetuner, questions) for name, questions in asked.items()}
                row = {"run": [_key(arm, seed)], "wrong": [json.dumps(found)]}
                yield pa.RecordBatch.from_pydict(row)

    tasks = spark.range(0, len(runs), 1, min(len(runs), model_slots(spark, measure)))
    profile = gpu_profile(spark, measure)
    found = in_model_workers(tasks, work, "run STRING, wrong STRING", profile).collect()
    return {row.run: json.loads(row.wrong) for row in found}

"""A task metric beside the loss: which of four responses belongs to a prompt.

As `evaluate --judge response` asks it, of every arm at every seed instead of two arms.
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
from instructmining.judging.response_options import response_options
from jobs.finetuning.candidates import texts_of
from udfs.finetuning.loading import loaded_finetuner
from udfs.indicator import task_place
from udfs.on_spark.placement import arrived, gpu_profile, in_model_workers, model_slots, ship
from udfs.running.measurement import Conversation
from udfs.texts.conversations import up_to_last_reply

_RUN = tuple[str, int, tuple[str, ...]]  # arm, seed, example ids


class Errors(NamedTuple):
    """Shares of wrong choices, in the form of losses.

    Attributes:
        losses: `evaluation`, `arm`, `seed`, `loss`, the base among the arms.
        prompts: 0 or 1 for single prompts, by evaluation set.
    """

    losses: pd.DataFrame
    prompts: Mapping[str, PromptLosses]


def wrong(finetuner: Any, conversations: Sequence[Conversation]) -> list[int]:
    """1 for every conversation whose own response is not taken, with the weights as they are."""
    from udfs.finetuning.choices import choose

    own = [up_to_last_reply(conversation)[-1]["content"] for conversation in conversations]
    taken = choose(finetuner, conversations, response_options(own), explained=True)
    return [int(one != other) for one, other in zip(taken, own, strict=True)]


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
    asked = {one.name: list(one.conversations) for one in experiment.sets}
    measure, recipe = experiment.setup.measure, experiment.task.recipe
    model = ship(spark, experiment.setup.base)

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch["id"].to_pylist():
                arm, seed, rows = given[number]
                device, dtype = task_place(measure)
                finetuner = loaded_finetuner(arrived(model), device, dtype, measure, recipe)
                finetuner.run(rows, {}, seed)
                found = {name: wrong(finetuner, listed) for name, listed in asked.items()}
                row = {"run": [_key(arm, seed)], "wrong": [json.dumps(found)]}
                yield pa.RecordBatch.from_pydict(row)

    tasks = spark.range(0, len(runs), 1, min(len(runs), model_slots(spark, measure)))
    profile = gpu_profile(spark, measure)
    found = in_model_workers(tasks, work, "run STRING, wrong STRING", profile).collect()
    return {row.run: json.loads(row.wrong) for row in found}

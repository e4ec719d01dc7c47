"""A pool of several sources, each of them the target in turn: arms of equal tokens, finetuned."""

import json
import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, SparkSession

from bench.harness.dirty_rows import sound_examples
from instructmining.evaluating.arms import BASE, Arm, seeds_of, sized, subsets_of
from instructmining.evaluating.seeds_and_prompts import PromptLosses
from instructmining.settings.learning import Select
from instructmining.settings.sections import Settings
from jobs.evaluating.arm_runs import ArmRun, Experiment, facts_of, finetune_arms
from jobs.evaluating.clean_rows import clean_rows
from jobs.evaluating.results import losses_of, outcomes, prompts_of, with_base
from jobs.evaluating.setup import Setup, picker, prepare
from jobs.scoring import run as score
from jobs.selecting.for_target import aimed
from training.data import Example, half_examples

TARGET, SAME_SOURCE = "target", "rows of the source"
SHARED: dict[str, Select] = {
    "random": Select(strategy="random", floor="off"),
    "longest": Select(strategy="longest", floor="off"),
    "floor, random": Select(strategy="random"),
}
ARMS = (*SHARED, TARGET, SAME_SOURCE)
PAIRS = ((TARGET, "random"), (TARGET, "longest"), (TARGET, BASE), (SAME_SOURCE, "random"))


@dataclass(frozen=True)
class Shape:
    """What a pool and its targets are made of.

    Attributes:
        targets: sources that are the target in turn.
        others: sources that are in the pool as well.
        rows: of each source in the pool, at most.
        examples: of a source that stand for it as the target; in no pool.
        prompts: of a source to measure the loss on; neither in the pool nor among `examples`.
    """

    targets: tuple[str, ...]
    others: tuple[str, ...]
    rows: int
    examples: int
    prompts: int


@dataclass(frozen=True)
class Measured:
    """What the finetunes came to; of every target its own evaluation set only.

    Attributes:
        losses: `evaluation` (the source), `arm`, `seed`, `loss`, the base among the arms.
        prompts: losses of single prompts by evaluation set.
        facts: `evaluation`, `arm`, `own` (share of rows of the source), `examples`, `tokens`.
    """

    losses: pd.DataFrame
    prompts: Mapping[str, PromptLosses]
    facts: pd.DataFrame


def write_files(data: Path, folder: Path, shape: Shape, seed: int) -> Path:
    """The pool, and for every target two files, as JSON lines with the field `label`.

    Half 1 only, which no embedded model was trained on.

    Returns:
        The pool's file; beside it SOURCE_target.jsonl and SOURCE_held_out.jsonl.
    """
    examples = half_examples(data, 1)
    lines = []
    for source in (*shape.targets, *shape.others):
        mine = [example for example in examples if example.pool == source]
        mine = mine or sound_examples(data, source)
        drawn = random.Random(f"{seed} {source}").sample(mine, len(mine))  # noqa: S311 - no secret
        apart = shape.examples + shape.prompts if source in shape.targets else 0
        lines += [_line(example) for example in drawn[apart : apart + shape.rows]]
        if source in shape.targets:
            _write(drawn[: shape.examples], target_file(folder, source))
            _write(drawn[shape.examples : apart], held_out_file(folder, source))
    pool = folder / "several_sources.jsonl"
    pool.write_text("".join(lines), encoding="utf-8")
    return pool


def target_file(folder: Path, source: str) -> Path:
    """The examples that stand for a source."""
    return folder / f"{source}_target.jsonl"


def held_out_file(folder: Path, source: str) -> Path:
    """The rows of a source that the loss is measured on."""
    return folder / f"{source}_held_out.jsonl"


def measured(spark: SparkSession, settings: Settings, folder: Path, shape: Shape) -> Measured:
    """Score the pool, choose the arms, finetune what is not finetuned yet, read the losses."""
    with ExitStack() as stack:
        score.run(spark, settings)
        setup = prepare(spark, settings, stack)
        experiment = Experiment(setup.finetunes, settings, "target_proof")
        rows, evaluate = setup.pool.rows, settings.evaluate
        shared = {name: sized(select, tokens=evaluate.tokens) for name, select in SHARED.items()}
        arms = subsets_of(rows, picker(setup), shared, seeds_of(evaluate))
        for source in shape.targets:
            arms += _own_arms(setup, experiment, folder, source)
        facts = facts_of(rows, arms)
        arms.sort(key=lambda arm: arm.seed)  # what is broken off has whole seeds
        runs = [ArmRun(arm, experiment.planned(arm, facts), experiment) for arm in arms]
        finetune_arms(experiment, runs)
        labels = labels_of(experiment, rows, shape)
    return _read(experiment, runs, labels, shape)


def labels_of(experiment: Experiment, rows: DataFrame, shape: Shape) -> dict[str, str]:
    """The source of every example, by its label."""
    pool = experiment.settings.pool
    return {
        row.example_id: source
        for source in (*shape.targets, *shape.others)
        for row in clean_rows(experiment.store, pool, rows, f"label = '{source}'")
        .select("example_id")
        .collect()
    }


def _own_arms(setup: Setup, experiment: Experiment, folder: Path, source: str) -> list[Arm]:
    """The choice for a target, and random rows of its source."""
    settings, rows = experiment.settings, setup.pool.rows
    tokens = settings.evaluate.tokens
    chosen, drawn = f"{TARGET} {source}", f"{SAME_SOURCE} {source}"
    file = target_file(folder, source)
    recipes = {
        chosen: Select(strategy="target", target=f"{source}={file}", tokens=tokens),
        drawn: Select(strategy="random", floor="off", tokens=tokens),
    }
    mine = clean_rows(experiment.store, settings.pool, rows, f"label = '{source}'")
    aiming = settings.model_copy(update={"select": recipes[chosen]})
    with aimed(experiment.store, rows, aiming, experiment.run_id) as aim:
        own = {chosen: aim.rows, drawn: mine}
        return subsets_of(rows, picker(setup, aim), recipes, seeds_of(settings.evaluate), own)


def _read(
    experiment: Experiment, runs: Sequence[ArmRun], labels: Mapping[str, str], shape: Shape
) -> Measured:
    """Each target's own arms under their plain names, on its own evaluation set."""
    results = with_base(experiment, outcomes(experiment.store, runs))
    losses: list[pd.DataFrame] = []
    prompts: dict[str, PromptLosses] = {}
    facts: list[tuple[Any, ...]] = []
    for evaluation in experiment.sets:
        source = evaluation.name
        plain = {name: name for name in (*SHARED, BASE)}
        plain |= {f"{name} {source}": name for name in (TARGET, SAME_SOURCE)}
        mine = results.assign(arm=results["arm"].map(plain)).dropna(subset=["arm"])
        losses.append(losses_of(mine, [evaluation]))
        prompts |= prompts_of(mine, [evaluation])
        tokens = mine.groupby("arm")["tokens"].mean()
        for name in ARMS:
            chosen = [one.arm.ids for one in runs if plain.get(one.arm.name) == name]
            own = sum(labels[i] == source for ids in chosen for i in ids)
            total = sum(map(len, chosen))
            facts.append((source, name, own / total, total / len(chosen), tokens[name]))
    columns = ["evaluation", "arm", "own", "examples", "tokens"]
    return Measured(pd.concat(losses), prompts, pd.DataFrame(facts, columns=columns))


def _line(example: Example) -> str:
    return json.dumps({"messages": list(example.messages), "label": example.pool}) + "\n"


def _write(examples: Sequence[Example], file: Path) -> None:
    file.write_text("".join(map(_line, examples)), encoding="utf-8")

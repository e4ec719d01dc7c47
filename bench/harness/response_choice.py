"""A task metric beside the loss: which of four responses belongs to a prompt.

As `evaluate --judge response` asks it, of every arm at every seed instead of two arms. The answers
are kept in the store, so that what is broken off goes on.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.harness.proof_arms import Planned
from instructmining.evaluating.arms import BASE
from instructmining.evaluating.seeds_and_prompts import PromptLosses
from instructmining.settings.learning import Judge
from jobs.judging.answers import answered, prompts_of
from udfs.texts.conversations import up_to_last_reply


class Rights(NamedTuple):
    """Right choices in percent, in the form of losses.

    Attributes:
        points: `evaluation`, `arm`, `seed`, `loss`, the base among the arms.
        prompts: 0 or 100 for single prompts, by evaluation set.
    """

    points: pd.DataFrame
    prompts: Mapping[str, PromptLosses]


def rights_of(plan: Planned) -> Rights:
    """Finetune every arm again, whose weights are not kept, and let it choose."""
    experiment = plan.experiment
    judge = Judge(kind="response", prompts=max(len(one.ids) for one in experiment.sets))
    prompts = prompts_of(experiment.sets, judge)
    base = experiment.base_run()
    seeds = sorted({one.arm.seed for one in plan.runs})
    waves = [[one.run for one in plan.runs if one.arm.seed == seed] for seed in seeds]
    waves[0].append(base)
    answers = pd.concat([answered(experiment, wave, prompts, judge) for wave in waves])
    references = {
        (name, i): up_to_last_reply(conversation)[-1]["content"]
        for name, listed in prompts.items()
        for i, conversation in listed
    }
    asked = zip(answers["evaluation"], answers["example_id"], strict=True)
    right = answers["answer"] == [references[one] for one in asked]
    by_run = answers.assign(right=100.0 * right).groupby(["evaluation", "run_key"])["right"]
    keys = {(one.arm.name, one.arm.seed): one.run.key for one in plan.runs}
    keys |= {(BASE, seed): base.key for seed in seeds}
    rows, single = [], {}
    for name in prompts:
        chosen = {run: by_run.get_group((name, key)).to_numpy() for run, key in keys.items()}
        rows += [(name, *run, float(one.mean())) for run, one in chosen.items()]
        single[name] = PromptLosses(chosen, np.ones(len(prompts[name])))
    points = pd.DataFrame(rows, columns=["evaluation", "arm", "seed", "loss"])
    return Rights(points, single)

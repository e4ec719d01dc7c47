"""The job `fit` between its finetunes and its files, with losses that a formula gives; no Spark."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from bench.nulls import INDICATORS, candidates
from instructmining.finetunes.runs import Task
from instructmining.fitting.drawn_subsets import read_designs
from instructmining.fitting.out_of_sample import stability
from instructmining.fitting.page import fit_page
from instructmining.fitting.rule_fit import learn, rule_of
from instructmining.fitting.subset_design import (
    describe,
    design_of,
    draw_at_random,
    draw_subsets,
)
from instructmining.rules.gate import objection
from instructmining.settings.fitting import Fit
from instructmining.settings.learning import Finetune
from instructmining.settings.loading import load_settings
from jobs.finetuning.candidates import Candidates
from jobs.fitting import run as job
from jobs.fitting.record import write_files
from jobs.fitting.setup import Setup


def made() -> Setup:
    rows = candidates(np.random.default_rng(0))
    rows = rows.assign(example_id=[f"{i:032x}" for i in range(len(rows))])
    design = draw_subsets(rows, INDICATORS, 40, 300, 0)
    random = design_of(rows, INDICATORS, draw_at_random(len(rows), 300, 6, 0))
    task = Task("base", "f", Finetune(), {"target": "v"}, "float32")
    finetunes = SimpleNamespace(task=task, sets=[SimpleNamespace(name="target")])
    return Setup(finetunes, ["p"], None, Candidates(rows, INDICATORS, []), design, random)


def finished(plan) -> pd.DataFrame:
    """As the table has them: the loss falls with x0 and differs a little from seed to seed."""
    return pd.DataFrame(
        [
            {
                "run_key": run.key,
                "subset": run.subset,
                "seed": run.seed,
                "indicators": run.indicators,
                "mix": run.mix,
                "losses": {
                    "target": float(
                        np.exp(
                            1.6
                            - 0.01 * run.indicators.get("x0", 0.0)
                            + 1e-4 * (int(run.key[:6], 16) % 7)
                        )
                    )
                },
            }
            for run in plan
        ]
    )


def test_a_fit_goes_from_planned_runs_to_a_rule_a_page_and_files(tmp_path):
    setup = made()
    plan = job.planned(setup, 3, 0)
    assert len(plan) == 1 + 40 + 3 + 6
    assert {run.subset for run in plan[-6:]} == job.tested_subsets(setup)
    assert all(len(run.ids) == 300 for run in plan[1:])
    frame = job.runs_frame(setup, finished(plan))
    assert frame["tested"].sum() == 6
    assert sorted(frame.loc[~frame["tested"], "half"].unique()) == [0, 1]
    fit = Fit(size=300)
    learned = learn(frame, INDICATORS, fit, "target", {}, {}, setup.subsets)
    assert learned.fit.n == 40
    assert learned.ranked.n == 6
    rule = rule_of(learned, "mine", {}, {}, {})
    assert rule.coefficients["x0"] < 0
    assert objection("mine", rule.provenance, None, rule.coefficients) is None
    stable = stability(learned.runs.head(40), INDICATORS[:2], 0, (), None)
    page = fit_page(
        learned, setup.design, describe(setup.design, setup.candidates.rows), "target", stable
    )
    assert "rank correlation (LDS)" in page
    assert list(write_files(str(tmp_path), setup, rule, learned, page))
    again, tested = read_designs(str(tmp_path / "subsets.csv"), setup.candidates.rows, INDICATORS)
    pd.testing.assert_frame_equal(again.means, setup.design.means)
    assert len(tested.subsets) == 6
    assert "share_a" in (tmp_path / "fit_table.csv").read_text()


def test_a_fit_that_is_never_to_stop_early_does_not_look_at_its_runs():
    never = load_settings(sets=["fit.stop_gain=0"]).fit
    assert job.enough(SimpleNamespace(), (), never) is None  # has no runs to be looked at

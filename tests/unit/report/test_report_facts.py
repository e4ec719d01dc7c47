"""What a report concludes from vectors and finetuning runs; no Spark."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from instructmining.report.evaluations import _sets
from instructmining.report.finetunings import experiments, fit_of
from instructmining.report.neighbors import _groups, distances
from instructmining.rules.rule import LinearRule


def unit(*angles: float) -> pd.Series:
    names = [f"e{i}" for i in range(len(angles))]
    return pd.Series([[np.cos(a), np.sin(a)] for a in angles], index=names)


def test_distances_of_nearly_equal_vectors_keep_their_digits() -> None:
    found = distances(unit(0.0, 1e-9, np.pi / 2))
    assert found[0, 1] == pytest.approx(1e-9, rel=1e-6)
    assert found[0, 2] == pytest.approx(np.sqrt(2), rel=1e-12)
    assert np.isinf(found.diagonal()).all()


def test_the_closest_pairs_come_first_and_a_chain_is_one_group() -> None:
    vectors = unit(0.0, 0.01, 0.03, 2.0, 2.001, 4.0)
    groups = _groups(vectors, 2)
    assert [ids for _, ids in groups] == [["e3", "e4"], ["e0", "e1", "e2"]]
    assert [d for d, _ in groups] == pytest.approx([0.001, 0.01], rel=1e-3)
    assert [ids for _, ids in _groups(vectors, 1)] == [["e3", "e4"]]
    assert _groups(vectors[:1], 3) == []
    assert _groups(pd.Series(dtype=object), 3) == []


def run(subset: str, status: str, loss: float | None, reward: float, base: str = "b") -> dict:
    return {
        "run_key": f"{subset}{status}",
        "subset": subset,
        "status": status,
        "base": "lm",
        "base_fingerprint": base,
        "recipe": json.dumps({"epochs": 2, "rate": None}),
        "evaluation": json.dumps({"held_out": "v1"}),
        "tokens": 100.0,
        "seconds": 2.0,
        "losses": loss and {"held_out": loss},
        "indicators": {"reward": reward},
    }


RUNS = pd.DataFrame(
    [
        run("base", "ok", 4.0, 0.0),
        run("s1", "ok", 3.0, 1.0),
        run("s2", "ok", 2.0, 2.0),
        run("s3", "failed", None, 3.0),
        run("s4", "ok", 9.0, 1.0, "other"),
    ]
)


def test_runs_are_told_apart_by_their_base_model_and_failures_are_counted() -> None:
    first, second = experiments(RUNS)
    assert (first.runs, first.failed, first.subsets, first.tokens) == (2, 1, 2, 200)
    assert first.recipe == "epochs 2"
    [losses] = first.losses
    assert (losses.base, losses.best, losses.median, losses.worst) == (4.0, 2.0, 2.5, 3.0)
    assert second.runs == 1
    assert second.losses[0].base is None
    assert experiments(RUNS[:0]) == []


def test_only_runs_that_the_rule_was_fitted_on_are_drawn() -> None:
    rule = LinearRule(
        name="r",
        intercept=1.5,
        coefficients={"reward": -0.4},
        provenance={
            "base_fingerprint": "b",
            "evaluation": {"held_out": "v1"},
            "cross_validation": {
                "rmse": 0.1,
                "rmse_mean_only": 0.3,
                "r_squared": 0.5,
                "rmse_others": {"paper-v1": 0.2},
            },
        },
    )
    fit = fit_of(SimpleNamespace(rule=rule), RUNS)
    assert fit.target == "held_out"
    assert fit.points == (
        (pytest.approx(1.1), pytest.approx(np.log(3.0))),
        (pytest.approx(0.7), pytest.approx(np.log(2.0))),
    )
    assert fit.gate == (("this rule", 0.1), ("the mean alone", 0.3), ("paper-v1", 0.2))
    assert ("cross-validated R²", "0.5") in fit.facts
    assert fit_of(SimpleNamespace(rule=None), RUNS) is None


def test_arms_are_ordered_by_their_loss_and_one_seed_has_no_interval() -> None:
    found = pd.DataFrame(
        {
            "arm": ["random", "random", "selected"],
            "seed": [0, 1, 0],
            "losses": [{"x": 1.0}, {"x": 2.0}, {"x": 1.2}],
        }
    )
    [losses] = _sets(found)
    assert [(a.arm, a.n, a.loss) for a in losses.arms] == [("selected", 1, 1.2), ("random", 2, 1.5)]
    assert losses.arms[0].interval is None
    low, high = losses.arms[1].interval
    assert (low + high) / 2 == pytest.approx(1.5)
    assert high - low == pytest.approx(2 * 12.7062 * 0.5, rel=1e-4)  # t(0.975, 1) = 12.7062
    assert losses.scale.low < low

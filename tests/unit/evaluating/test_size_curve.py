"""Sizes of a curve against what can be selected; selection and finetunes are made up."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from instructmining.errors import FailedRowsError, UserError
from instructmining.evaluating.comparison import means
from instructmining.finetunes.runs import ids_hash
from instructmining.settings.learning import Evaluate, Select
from instructmining.settings.sections import Settings
from jobs.evaluating import size_curve as module
from jobs.evaluating.pool import EvaluationPool
from jobs.evaluating.size_curve import size_curve

POOL, SCORED = 1000, 900


class Rows:
    """Ids in their order, read as the job reads a frame."""

    def __init__(self, ids):
        self.ids = ids

    def orderBy(self, column):
        return self

    def select(self, column):
        return self

    def collect(self):
        return [SimpleNamespace(example_id=i) for i in self.ids]


def pick(rows: None, select: Select) -> Rows:
    """A hundred rows of the pool have no prediction, so that no rule chooses them."""
    ids = [f"{i:032x}" for i in range(POOL)]
    if select.strategy != "random":
        return Rows(ids[:SCORED][: select.top])
    return Rows(list(np.random.default_rng(select.seed).permutation(ids))[: select.top])


def curve(monkeypatch, *sizes: str, failed: dict[str, str] | None = None):
    """Of runs whose loss falls with their examples; all fail where reasons are given."""

    def outcomes(store, runs):
        return pd.DataFrame(
            [
                {
                    "arm": each.arm.name,
                    "seed": each.arm.seed,
                    "run_key": each.run.key,
                    "tokens": 1.0,
                    "examples": len(each.run.ids),
                    "losses": [("t", 2 + 0.01 * each.arm.seed - len(each.run.ids) * 1e-5)],
                }
                for each in runs
                if not failed
            ],
            columns=["arm", "seed", "run_key", "tokens", "examples", "losses"],
        )

    monkeypatch.setattr(module, "outcomes", outcomes)
    monkeypatch.setattr(module, "facts_of", lambda rows, arms: None)
    monkeypatch.setattr(module, "store_members", lambda experiment, runs: None)
    experiment = SimpleNamespace(
        settings=Settings(evaluate=Evaluate(sizes=sizes, size_seeds=2)),
        sets=[SimpleNamespace(name="t")],
        store=None,
        planned=lambda arm, facts: SimpleNamespace(
            key=f"{ids_hash(arm.ids)}{arm.seed}", ids=arm.ids
        ),
        run=lambda plan, name: SimpleNamespace(failed=failed or {}),
    )
    tracked = SimpleNamespace(log_text=lambda text, name: None, records=False)
    return size_curve(experiment, EvaluationPool(None, POOL, {}, []), pick, tracked, "t")


def test_sizes_beyond_what_can_be_selected_are_refused_with_the_true_number(monkeypatch):
    for sizes in (("800", "950", "1000"), ("auto:100-950",), ("1001",)):
        most = "1,000" if sizes == ("1001",) else "900"
        with pytest.raises(UserError, match=f"the pool has {most} examples that can be selected"):
            curve(monkeypatch, *sizes)


def test_every_size_counts_every_seed_once(monkeypatch):
    measured = curve(monkeypatch, "800", "900")
    found = measured.curve
    assert found[["arm", "size", "n"]].to_numpy().tolist() == [
        ["selected", 800, 2],
        ["random", 800, 2],
        ["selected", 900, 2],
        ["random", 900, 2],
    ]
    runs = [("t", "selected", seed, 2 + 0.01 * seed - 0.009) for seed in (0, 1)]
    by_hand = means(pd.DataFrame(runs, columns=["evaluation", "arm", "seed", "loss"])).loc[0]
    largest = found[(found["arm"] == "selected") & (found["size"] == 900)].iloc[0]
    assert (largest["low"], largest["high"]) == pytest.approx((by_hand["low"], by_hand["high"]))
    assert measured.best == 800  # 0.001 above the lowest, and the seeds are 0.01 apart
    again = "800 examples at 2 fresh seeds: selected 2.0170 ["  # seeds 2 and 3, not 0 and 1
    assert again in measured.page
    assert "800 is the smallest size whose loss is, beside that of 900, within" in measured.page


def test_a_search_goes_up_to_what_can_be_selected(monkeypatch):
    def search(loss_of, low, high, trials):
        return [loss_of(low), loss_of(high)]

    monkeypatch.setattr(module, "search_size", search)
    assert sorted(set(curve(monkeypatch, "auto").curve["size"])) == [32, SCORED]


def test_runs_that_all_fail_end_with_their_reason(monkeypatch):
    with pytest.raises(FailedRowsError, match="selected at 8 examples has a result: no memory"):
        curve(monkeypatch, "8", failed={"key": "no memory"})

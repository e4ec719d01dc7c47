"""The re-analysis of public finetunes: pairs by seed, signs of losses, and the published files."""

import pandas as pd
import pytest

from bench import public_runs
from instructmining.evaluating.power import detectable, seeds_for

METRIC = """dataset,method,num_samples,seed,true_metric
bbh,Random,500,0,40
bbh,Random,500,1,42
bbh,RDS+ (RR),500,1,45
bbh,RDS+ (RR),500,0,41
"""
LOSS = """dataset,method,num_samples,dev,test,seed
bbh,Random,500,0.50,3.0,0
bbh,Random,500,0.52,3.2,1
bbh,RDS+ (RR),500,0.40,3.1,0
bbh,RDS+ (RR),500,0.46,3.2,1
"""


@pytest.fixture
def folder(tmp_path):
    for name, text in (
        ("true_metric_budget", METRIC),
        ("ce_loss_budget", LOSS),
        ("true_metric_zero_shot", "dataset,true_metric\nbbh,39\n"),
    ):
        (tmp_path / f"plot_data-llama2-7b-budget_{name}.csv").write_text(text)
    return tmp_path


def test_a_difference_is_that_of_the_same_seed_and_a_lower_loss_is_better(folder):
    rows = public_runs.differences_from_random(public_runs.public_runs(folder))
    rows = rows.sort_values("seed")
    assert list(rows["metric"]) == [1.0, 3.0]
    assert list(rows["dev"]) == pytest.approx([0.10, 0.06])
    assert list(rows["test"]) == pytest.approx([-0.1, 0.0])


def test_every_comparison_says_what_metric_and_losses_say(folder):
    rows = public_runs.differences_from_random(public_runs.public_runs(folder))
    (row,) = public_runs.every_comparison(rows)
    # t(0.975, 1) = 12.706 and the standard error of 1 and 3 is 1.
    assert row[:6] == ["Tulu-2", "llama2-7b", "bbh", "500", "RDS+ (RR)", "+2.00 [-10.71, +14.71]"]
    assert row[6:] == ["better", "worse"]


def test_a_folder_without_the_files_says_where_they_are(tmp_path):
    with pytest.raises(SystemExit, match="targeted-instruction-selection"):
        public_runs.public_runs(tmp_path)


def test_the_published_files_say_what_another_analysis_read_in_them():
    if not public_runs.FOLDER.is_dir():
        pytest.skip(f"no {public_runs.FOLDER}; set INSTRUCTMINING_DATA to the data folder")
    runs = public_runs.public_runs(public_runs.FOLDER)
    assert len(runs) == 6000
    rows = public_runs.differences_from_random(runs)
    means = rows.groupby(["pool", "method"])["metric"].mean().round(2)
    assert means["Tulu-2", "LESS (RR)"] == 2.29
    assert means["Dolci", "RDS+ (RR)"] == 3.21
    said = pd.DataFrame(public_runs.by_loss(rows, runs)).set_index([0, 1])
    assert said.loc[("Tulu-2", "loss on the target examples"), 2] == "81 %"
    assert said.loc[("Dolci", "loss on the target examples"), 3] == "61 %"


def test_power_is_that_of_cohens_tables():
    # Cohen (1988), paired t test, two-sided 5 %, power 0.80: G*Power prints the same n.
    assert [seeds_for(d, 1.0) for d in (0.2, 0.5, 0.8)] == [199, 34, 15]
    assert detectable(2.0, 34) == pytest.approx(1.0, abs=0.02)

"""Which settings let several processes share a finetune; plain values, no Spark."""

import json

import pytest

from instructmining.errors import UserError
from instructmining.finetunes.runs import Task
from instructmining.settings.learning import Finetune
from instructmining.settings.sections import Measure
from jobs.checks.resources import tasks_at_once
from jobs.finetuning.sharded import check_spread, runs_at_once

CLUSTER = {"spark.master": "spark://head:7077", "spark.executor.cores": "4"}
GPU = {
    **CLUSTER,
    "spark.executor.resource.gpu.amount": "1",
    "spark.task.resource.gpu.amount": "0.25",
}
LOCAL = {"spark.master": "local[2]"}


@pytest.mark.parametrize(
    ("conf", "measure", "processes", "sentence"),
    [
        (
            {**CLUSTER, "spark.dynamicAllocation.enabled": "true"},
            {},
            2,
            r"gpus_per_run=2 .*spark\.dynamicAllocation\.enabled=false",
        ),
        (LOCAL, {}, 3, r"gpus_per_run=3, but this machine runs 2 tasks .*SPARK_MASTER=local"),
        (GPU, {"gpu_amount": 0.5}, 2, r"gets 0\.5: set measure\.gpu_amount=1"),
        ({**GPU, "spark.executor.resource.gpu.amount": "4"}, {"gpu_amount": 2}, 2, "gets 2: set"),
    ],
)
def test_settings_under_which_a_run_could_not_start_are_refused(conf, measure, processes, sentence):
    with pytest.raises(UserError, match=sentence):
        check_spread(conf, Measure(**measure), processes, 2)


@pytest.mark.parametrize("conf", [CLUSTER, GPU, LOCAL, {}])
def test_others_pass_without_a_word(conf):
    assert check_spread(conf, Measure(), 2, 2) is None


def test_tasks_at_a_time_are_those_that_there_are_gpus_for():
    assert tasks_at_once(GPU, Measure(), 32) == 8
    assert tasks_at_once(GPU, Measure(device="cpu"), 32) == 32
    assert tasks_at_once(CLUSTER, Measure(), 32) == 32
    assert tasks_at_once({"spark.master": "spark://head:7077"}, Measure(), 32) == 32
    assert tasks_at_once(LOCAL, Measure(), 2) == 2


def test_runs_share_a_cluster_and_take_turns_on_one_machine():
    assert [runs_at_once(GPU, processes, 8) for processes in (1, 2, 3, 9)] == [8, 4, 2, 1]
    assert [runs_at_once(LOCAL, processes, 4) for processes in (1, 2)] == [4, 1]


def test_a_run_is_the_same_run_over_however_many_processes():
    one, two = (Task("m", "f", Finetune(gpus_per_run=n), {"e": "v"}, "float32") for n in (1, 2))
    assert one.key("subset", 0) == two.key("subset", 0)
    assert set(json.loads(two.recipe_json())) == {*Finetune.model_fields} - {"gpus_per_run"}

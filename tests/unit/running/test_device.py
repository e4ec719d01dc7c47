"""Device, precision and threads, from plain values: neither Spark nor a GPU is needed."""

import logging
import subprocess
import sys

import pytest
import torch

from instructmining.errors import UserError
from instructmining.settings.sections import Measure
from udfs.running.device import choose_device, limit_threads, resolve_dtype, suited


@pytest.mark.parametrize(
    ("addresses", "partition", "visible", "count", "device"),
    [
        (["1"], 0, None, 4, "cuda:1"),  # the address counts the devices of the machine
        (["1"], 0, "6,7", 2, "cuda:1"),  # a position in the visible list, as TorchDistributor
        (["7"], 0, "6,7", 2, "cuda:1"),  # a member of the visible list
        (["7"], 0, "7", 1, "cuda:0"),  # visibility narrowed to the one device
        (["7"], 0, None, 1, "cuda:0"),
        (["GPU-ab"], 0, "GPU-cd,GPU-ab", 2, "cuda:1"),  # addressed by UUID
        (None, 5, None, 4, "cuda:1"),  # no GPU resource: spread the partitions
        ([], 3, None, 2, "cuda:1"),
    ],
)
def test_the_device_is_the_one_spark_gave_the_task(addresses, partition, visible, count, device):
    assert choose_device("auto", addresses, partition, visible, count) == device
    assert choose_device("cuda", addresses, partition, visible, count) == device


def test_the_cpu_can_be_demanded_where_there_is_a_gpu():
    assert choose_device("cpu", ["0"], 0, None, 4) == "cpu"


def test_an_address_without_cuda_warns_and_runs_on_the_cpu(caplog):
    with caplog.at_level(logging.WARNING):
        assert choose_device("auto", ["4"], 0, None, count=0) == "cpu"
    assert "GPU 4" in caplog.text


def test_no_address_and_no_cuda_is_quietly_the_cpu(caplog):
    with caplog.at_level(logging.WARNING):
        assert choose_device("auto", None, 0, None, count=0) == "cpu"
    assert not caplog.records


def test_cuda_without_cuda_is_an_error_with_a_remedy():
    with pytest.raises(UserError, match="set device to auto"):
        choose_device("cuda", ["0"], 0, None, count=0)


def test_torch_is_not_imported_to_learn_that_a_machine_has_no_gpu():
    code = "import sys; from udfs.running import device as d; d.choose_device(); \
print(d._has_driver(), 'torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout in ("False False\n", "True True\n")


def test_unknown_settings_are_refused():
    with pytest.raises(UserError, match="auto, cpu or cuda"):
        choose_device("gpu")
    with pytest.raises(UserError, match="auto, bfloat16 or float32"):
        resolve_dtype("half", "cpu")


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        ({"avx2", "avx512f"}, "float32"),
        ({"avx512f", "avx512_bf16"}, "bfloat16"),
        ({"amx_tile", "amx_bf16"}, "bfloat16"),
    ],
)
def test_auto_takes_bfloat16_only_where_the_cpu_computes_in_it(flags, dtype):
    assert resolve_dtype("auto", "cpu", frozenset(flags)) == dtype


def test_a_named_dtype_stands():
    assert resolve_dtype("float32", "cpu", frozenset({"avx512_bf16"})) == "float32"
    assert resolve_dtype("bfloat16", "cpu", frozenset()) == "bfloat16"


def test_threads_follow_the_task():
    before = torch.get_num_threads()
    try:
        limit_threads(1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_choosing_a_cpu_and_loading_mtld_import_no_torch():
    program = (
        "import sys; from instructmining.models.lists import ModelSpec;"
        "from udfs.indicators import resolve;"
        "from udfs.running.scorers import load_scorer;"
        "load_scorer(resolve(ModelSpec(kind='mtld', indicators=('mtld',))), 'cpu');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_what_is_left_to_the_device_is_on_where_it_is_a_gpu():
    here, there = suited(Measure(), "cpu"), suited(Measure(), "cuda:0")
    assert (here.packing, here.compile, here.fused_optimizer) == (False, False, False)
    assert (there.packing, there.compile, there.fused_optimizer) == (True, False, True)
    asked = Measure(packing=True, compile=True, fused_optimizer=False)
    assert suited(asked, "cpu") == suited(asked, "cuda:0") == asked

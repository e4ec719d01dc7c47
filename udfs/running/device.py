"""Where a task computes, in which precision and with how many threads.

Everything about Spark comes in as plain values (the addresses of the task's GPU resource, its
partition number, the visible-devices variable), so that the choice is tested without a cluster.
Importing this module imports no torch: stages without a neural model never pay for it.
"""

import ctypes
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from instructmining.errors import UserError
from instructmining.settings.sections import Measure

logger = logging.getLogger(__name__)


def choose_device(
    requested: str = "auto",
    addresses: Sequence[str] | None = None,
    partition_id: int = 0,
    visible: str | None = None,
    count: int | None = None,
) -> str:
    """The torch device of one task: `cpu` or `cuda:INDEX`.

    Args:
        requested: `auto`, `cpu` or `cuda` (the setting).
        addresses: addresses of the task's GPU resource; None or empty without one.
        partition_id: spreads tasks without an address over the devices of a machine.
        visible: value of CUDA_VISIBLE_DEVICES in this process.
        count: devices that torch sees; asked of torch when None.

    Raises:
        UserError: `cuda` was requested and there is none, or the setting is unknown.
    """
    if requested not in ("auto", "cpu", "cuda"):
        raise UserError(f"device {requested!r}: choose auto, cpu or cuda")
    if requested == "cpu":
        return "cpu"
    count = cuda_count() if count is None else count
    if count:
        return f"cuda:{_device_index(addresses, partition_id, visible, count)}"
    if requested == "cuda":
        raise UserError(
            "device: cuda, but torch finds no CUDA device in this process; install a CUDA build "
            "of torch and a driver on the executors, or set device to auto"
        )
    if addresses:
        logger.warning(
            "Spark gave this task GPU %s but torch finds no CUDA device; it runs on the CPU",
            ",".join(addresses),
        )
    return "cpu"


def _device_index(
    addresses: Sequence[str] | None, partition_id: int, visible: str | None, count: int
) -> int:
    """Index of the task's device among the `count` that this process sees.

    An address counts the devices of the machine. Where the process sees only some of them, it
    counts inside that list (the rule of Spark's own TorchDistributor), or else names a member.
    """
    if not addresses:
        return partition_id % count
    address = str(addresses[0])
    if address.isdigit() and int(address) < count:
        return int(address)
    listed = [name.strip() for name in (visible or "").split(",")][:count]
    if address in listed:
        return listed.index(address)
    if count > 1:
        logger.warning("GPU address %s is none of the %d visible devices", address, count)
    return int(address) % count if address.isdigit() else partition_id % count


def resolve_dtype(requested: str, device: str, cpu_flags: frozenset[str] | None = None) -> str:
    """`bfloat16` or `float32`; `auto` is bfloat16 where the device has units for it.

    Args:
        requested: `auto`, `bfloat16` or `float32`.
        device: of `choose_device`.
        cpu_flags: features of the CPU; read from the system when None.
    """
    if requested not in ("auto", "bfloat16", "float32"):
        raise UserError(f"dtype {requested!r}: choose auto, bfloat16 or float32")
    if requested != "auto":
        return requested
    if device.startswith("cuda"):
        import torch

        with torch.cuda.device(device):
            fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        flags = _cpu_flags() if cpu_flags is None else cpu_flags
        fast = bool(flags & {"amx_bf16", "avx512_bf16"})
    return "bfloat16" if fast else "float32"


def suited(measure: Measure, device: str) -> Measure:
    """The settings with what they leave to the device: packs and the fused update are for GPUs."""
    on_gpu = device.startswith("cuda")
    left = {"packing": on_gpu, "compile": False, "fused_optimizer": on_gpu}
    chosen = {name: value for name, value in left.items() if getattr(measure, name) is None}
    return measure.model_copy(update=chosen)


def gpu_memory(device: str) -> int:
    """Bytes of a GPU's memory; 0 of a CPU."""
    if not device.startswith("cuda"):
        return 0
    import torch

    return int(torch.cuda.get_device_properties(device).total_memory)


def limit_threads(cpus: int) -> None:
    """Let torch and the tokenizers use the cores of this task and no more; imports torch."""
    import torch

    os.environ["RAYON_NUM_THREADS"] = str(cpus)  # read once, at the first parallel tokenisation
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if cpus > 1 else "false"
    torch.set_num_threads(cpus)


def keep_few_primitives() -> None:
    """Before a process that trains computes anything: bound what oneDNN keeps of its kernels.

    It makes one per shape, about half a megabyte each, and keeps 1,024; batches of texts have new
    shapes all the time, so that few are met again.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")


def return_freed_memory() -> None:
    """Hand freed memory back to the system: glibc keeps the gaps that varying shapes leave."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
    if trim is not None:
        trim(0)


def cuda_count() -> int:
    """GPUs that torch sees; 0 without torch. Where no driver is, torch is not imported for it."""
    if not _has_driver():
        return 0
    try:
        import torch
    except ModuleNotFoundError:
        return 0
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _has_driver() -> bool:
    """Whether the library of a GPU's driver, which torch cannot do without, is on this machine."""
    if sys.platform != "linux" or Path("/dev/kfd").exists():  # AMD's
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _cpu_flags() -> frozenset[str]:
    info = Path("/proc/cpuinfo")
    if not info.is_file():  # not Linux: no bfloat16 units that torch would use
        return frozenset()
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    return frozenset(next((line.split() for line in lines if line.startswith("flags")), []))

"""The models that a Python worker keeps loaded, and the scorer of a model."""

import gc
import importlib
import math
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from instructmining.models.lists import ResolvedModel
from instructmining.models.shape import shape_of
from instructmining.models.weight_files import parameters_in
from instructmining.settings.endpoints import Endpoint
from instructmining.settings.sections import Measure
from udfs.indicators import kind_of
from udfs.running.budget import token_budget
from udfs.running.compiling import use_compiled_code_of
from udfs.running.device import gpu_memory, resolve_dtype, suited
from udfs.running.measurement import Runtime, Scorer

T = TypeVar("T")

_TOGETHER = 100_000_000  # parameters of small models that stay loaded beside each other
_loaded: dict[tuple[str, ...], tuple[Any, float]] = {}  # with the number of parameters


def load_scorer(
    model: ResolvedModel,
    device: str,
    dtype: str = "auto",
    budget: int | None = None,
    measure: Measure | None = None,
    endpoint: Endpoint | None = None,
) -> Scorer:
    """The scorer of a model, loaded once per process; a large one releases the others.

    Args:
        model: resolved, with folders that exist on this machine.
        device: of `device.choose_device`.
        dtype: `auto`, `bfloat16` or `float32`.
        budget: rows x longest of a batch; what suits model and device when None.
        measure: the share of a GPU that this copy has, packs and compiling.
        endpoint: what a model on a server may spend; counted from zero by each scorer.
    """
    dtype = resolve_dtype(dtype, device)
    how = suited(measure or Measure(), device)
    budget = budget or suiting_budget(model, device, dtype, how.gpu_amount)
    runtime = Runtime(
        model.folder,
        model.base_folder,
        device,
        dtype,
        budget,
        bool(how.packing),
        bool(how.compile),
        endpoint or Endpoint(),
    )
    use_compiled_code_of(how.compiled_code)
    key = ("scorer", model.fingerprint, repr(runtime))
    module, _, name = kind_of(model.spec).scorer.partition(":")

    def load() -> Scorer:
        scorer: Callable[..., Scorer]
        scorer = getattr(importlib.import_module(f"udfs.indicators.{module}"), name)
        return scorer(model.spec, runtime)

    if model.spec.served is not None:
        return load()
    size = parameters_in(_folders(model)) if device == "cpu" else math.inf
    return resident(key, load, size)


def suiting_budget(model: ResolvedModel, device: str, dtype: str, gpu_amount: float = 1.0) -> int:
    """Tokens of one forward pass that suit a model on a device, see `udfs.running.budget`."""
    folders = _folders(model)
    return token_budget(
        device,
        shape_of(folders[0] if folders else ""),
        model.spec.max_length,
        parameters_in(folders),
        2 if dtype == "bfloat16" else 4,
        int(gpu_memory(device) * min(1.0, gpu_amount or 1.0)),
    )


def _folders(model: ResolvedModel) -> list[str]:
    return [folder for folder in (model.base_folder, model.folder) if folder]


def resident(key: tuple[str, ...], load: Callable[[], T], size: float = math.inf) -> T:
    """What `load` made for this key, once per process.

    Small models stay loaded together, so that a later stage finds them; whatever is too large to
    stand beside what is there releases all of it first.

    Args:
        key: tells models apart, and what they are loaded for.
        load: makes it, when there is memory for it.
        size: its number of parameters.
    """
    if key not in _loaded:
        if sum(parameters for _, parameters in _loaded.values()) + size > _TOGETHER:
            _release()
        _loaded[key] = load(), size
        _leave_to_live()
    model: T = _loaded[key][0]
    return model


def _leave_to_live() -> None:
    """Spare the garbage collector what was loaded: it would visit all of it between windows."""
    gc.collect()
    gc.freeze()


def _release() -> None:
    _loaded.clear()
    gc.unfreeze()
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if "torch._dynamo" in sys.modules:
        torch._dynamo.reset()  # compiled code holds the weights that it was compiled for
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

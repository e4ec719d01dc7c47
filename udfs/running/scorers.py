"""The one model that a Python worker keeps loaded, and the scorer of a model."""

import gc
import importlib
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from instructmining.models.lists import ResolvedModel
from udfs.indicators import kind_of
from udfs.running.device import default_token_budget, resolve_dtype
from udfs.running.measurement import Runtime, Scorer

T = TypeVar("T")

_loaded: dict[tuple[str, ...], Any] = {}  # at most one entry: one model per stage


def load_scorer(
    model: ResolvedModel, device: str, dtype: str = "auto", token_budget: int | None = None
) -> Scorer:
    """The scorer of a model, loaded once per process; loading another releases the first.

    Args:
        model: resolved, with folders that exist on this machine.
        device: of `device.choose_device`.
        dtype: `auto`, `bfloat16` or `float32`.
        token_budget: rows x longest of a batch; what suits the device when None.
    """
    dtype = resolve_dtype(dtype, device)
    budget = token_budget or default_token_budget(device)
    runtime = Runtime(model.folder, model.base_folder, device, dtype, budget)
    key = ("scorer", model.fingerprint, device, dtype, str(budget))
    module, _, name = kind_of(model.spec).scorer.partition(":")

    def load() -> Scorer:
        scorer: Callable[..., Scorer]
        scorer = getattr(importlib.import_module(f"udfs.indicators.{module}"), name)
        return scorer(model.spec, runtime)

    return resident(key, load)


def resident(key: tuple[str, ...], load: Callable[[], T]) -> T:
    """What `load` made for this key, once per process; asking for another releases the first.

    Args:
        key: tells models apart, and what they are loaded for.
        load: makes it, when the memory of the one before has been given back.
    """
    if key not in _loaded:
        _release()
        _loaded[key] = load()
    model: T = _loaded[key]
    return model


def _release() -> None:
    _loaded.clear()
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()

"""Which class measures with which kind of model, and the one model a process keeps loaded."""

import gc
import importlib
import sys
from typing import Any

from instructmining.models import KINDS, ResolvedModel
from udfs.device import default_token_budget, resolve_dtype
from udfs.measurement import Scorer

_loaded: dict[tuple[str, ...], Scorer] = {}  # at most one entry: one model per stage


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
    key = (model.fingerprint, device, dtype, str(budget))
    if key not in _loaded:
        _release()
        scorer_class = _class_of(model.spec.kind)
        _loaded[key] = scorer_class(
            model.spec, model.folder, model.base_folder, device, dtype, budget
        )
    return _loaded[key]


def _class_of(kind: str) -> Any:
    module, _, name = KINDS[kind][0].partition(":")
    return getattr(importlib.import_module(module), name)


def _release() -> None:
    _loaded.clear()
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()

"""Which class measures with which kind of model."""

import importlib
from collections.abc import Callable

from instructmining.models.lists import KINDS, ResolvedModel
from udfs.running.device import default_token_budget, resolve_dtype
from udfs.running.measurement import Scorer
from udfs.running.resident import resident


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
    key = ("scorer", model.fingerprint, device, dtype, str(budget))
    return resident(
        key,
        lambda: _class_of(model.spec.kind)(
            model.spec, model.folder, model.base_folder, device, dtype, budget
        ),
    )


def _class_of(kind: str) -> Callable[..., Scorer]:
    module, _, name = KINDS[kind][0].partition(":")
    found: Callable[..., Scorer] = getattr(importlib.import_module(module), name)
    return found

"""A model compiled by torch, its code kept in a folder that the workers of a node share.

Compiling takes a minute or two on a GPU where the folder is empty (docs/performance.md), so it is a
setting, and short runs leave it (`worth_compiling`).
"""

import os
from typing import Any

from udfs.running.measurement import Runtime

_FROM_ROWS = 500_000  # of one task slot: what a compiled model saves on fewer is not two minutes


def compile_in_place(module: Any, runtime: Runtime, packed: bool = False) -> None:
    """Replace the forward of a model's layers by a compiled one, where the runtime says so.

    Layers of one kind share their compiled code: a model of 28 layers compiles in the time of one.

    Args:
        module: of any kind; it stays the same object.
        runtime: whether to compile.
        packed: its inputs have few shapes, of which the first gets code of its own; else shapes are
            dynamic.
    """
    if runtime.compiled:
        import torch

        for layer in _layers(module):
            layer.forward = torch.compile(layer.forward, dynamic=None if packed else True)


def _layers(module: Any) -> list[Any]:
    """The members of a model's lists of like layers, or the model itself where it has none."""
    from torch import nn

    if isinstance(module, nn.ModuleList) and len(module) > 1 and len(set(map(type, module))) == 1:
        return list(module)
    layers = [
        layer for child in module.children() for layer in _layers(child) if layer is not child
    ]
    return layers or [module]


def use_compiled_code_of(folder: str | None) -> None:
    """Where torch keeps what it compiles, said before it compiles; None: its own folder."""
    if folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        os.environ.setdefault("TRITON_CACHE_DIR", os.path.join(folder, "triton"))


def worth_compiling(rows: int, slots: int) -> bool:
    """Whether a stage of this many rows on this many task slots is long enough."""
    return rows >= _FROM_ROWS * slots

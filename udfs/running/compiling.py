"""A model compiled by torch, its code kept in a folder that the workers of a node share.

Five models took 106 s beside each other where the folder was empty (docs/performance.md, On a GPU),
so that short runs leave it (`worth_compiling`).
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar

from udfs.running.measurement import Runtime

T = TypeVar("T")

_MEASURED = {"causal_lm", "gpt_neox_reward", "sequence_classifier"}  # docs/performance.md
_FROM_ROWS = 500_000  # of one task slot: a compiled model saves 20 s or more on so many


def compile_in_place(module: Any, runtime: Runtime) -> None:
    """Replace the forward of a model's layers by a compiled one, where the runtime says so.

    Layers of one kind share their compiled code: a model of 28 layers compiles in the time of one.
    """
    if runtime.compiled:
        for layer in layers_of(module):
            layer.forward = compiled(layer.forward, runtime)


def compiled(function: Callable[..., T], runtime: Runtime) -> Callable[..., T]:
    """A function of tensors of any length, compiled where the runtime says so, when first called.

    What cannot be compiled runs as it is, with a warning.
    """
    if not runtime.compiled:
        return function
    import torch

    torch._dynamo.config.suppress_errors = True
    # Code for one length was not much faster (docs/decisions/0076), and would be compiled as well.
    made: Callable[..., T] = torch.compile(function, dynamic=True)
    return made


def layers_of(module: Any) -> list[Any]:
    """The members of a model's lists of like layers, or the model itself where it has none."""
    from torch import nn

    if isinstance(module, nn.ModuleList) and len(module) > 1 and len(set(map(type, module))) == 1:
        return list(module)
    layers = [
        layer for child in module.children() for layer in layers_of(child) if layer is not child
    ]
    return layers or [module]


def use_compiled_code_of(folder: str | None) -> None:
    """Where torch keeps what it compiles, said before it compiles; None: its own folder."""
    if folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        os.environ.setdefault("TRITON_CACHE_DIR", os.path.join(folder, "triton"))


def worth_compiling(kind: str, rows: int, slots: int) -> bool:
    """Whether a stage of this many rows on this many task slots gains by it.

    Args:
        kind: of the model; others were not measured compiled.
        rows: of the stage.
        slots: tasks at a time.
    """
    return kind in _MEASURED and rows >= _FROM_ROWS * slots

"""The one model that a Python worker keeps loaded, whatever it is used for."""

import gc
import sys
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_loaded: dict[tuple[str, ...], Any] = {}  # at most one entry: one model per stage


def resident(key: tuple[str, ...], load: Callable[[], T]) -> T:
    """What `load` made for this key, once per process; asking for another releases the first.

    Args:
        key: tells models apart, and what they are loaded for.
        load: makes it, when the memory of the one before has been given back.
    """
    if key not in _loaded:
        _release()
        _loaded[key] = load()
    found: T = _loaded[key]
    return found


def _release() -> None:
    _loaded.clear()
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()

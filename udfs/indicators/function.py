"""One number per conversation from a Python function that the user names.

`module:function` takes a list of conversations and gives back a list of numbers, None where it has
none. It is imported on the executors, so the module has to be installed or shipped there.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec
from udfs.running.batching import for_each_batch
from udfs.running.measurement import Conversation, Measurement, Runtime

_AT_ONCE = 256  # conversations per call: enough for vectorised code, little repeated on an error


class FunctionScorer:
    """Kind `python`: the user's own function, importable on the executors."""

    def __init__(self, spec: ModelSpec, runtime: Runtime):
        self.indicators = spec.indicators
        self.function = _function(spec.function or "")

    def measure(self, conversations: Sequence[Conversation]) -> Measurement:
        """Call the function in batches; a batch that raises is called again row by row."""
        measurement = Measurement.empty(self.indicators, len(conversations))
        values = measurement.values[self.indicators[0]]

        def compute(rows: NDArray[np.int64]) -> None:
            numbers = list(self.function([conversations[row] for row in rows]))
            if len(numbers) != rows.size:
                raise ValueError(f"{len(numbers)} numbers for {rows.size} conversations")
            values[rows] = [np.nan if value is None else float(value) for value in numbers]
            for row in rows[np.isnan(values[rows])]:
                measurement.reasons[row] = "the function gave no number"

        for_each_batch(np.ones(len(conversations)), _AT_ONCE, compute, measurement.reasons)
        return measurement.explained()


def _function(name: str) -> Callable[[list[Conversation]], Sequence[float | None]]:
    module, _, attribute = name.partition(":")
    try:
        function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"function {name!r}: write it as module:function, importable on the executors ({error})"
        ) from error
    return function

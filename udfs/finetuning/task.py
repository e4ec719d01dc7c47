"""One finetune in a Spark task, and the row of `finetuning_runs` that says what came of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from instructmining.models.lists import ResolvedModel
from instructmining.settings.learning import Finetune
from instructmining.settings.sections import Measure
from instructmining.store.schemas import TABLES
from udfs.finetuning.loading import loaded_finetuner
from udfs.indicator import task_place
from udfs.on_spark.placement import arrived
from udfs.running.batching import device_is_lost
from udfs.running.measurement import Conversation

_COLUMNS = TABLES["finetuning_runs"].columns
SCHEMA = ", ".join(f"`{column.name}` {column.type}" for column in _COLUMNS)


def finetuned(
    model: ResolvedModel,
    measure: Measure,
    recipe: Finetune,
    rows: Sequence[Conversation],
    sets: Mapping[str, Sequence[Conversation]],
    seed: int,
) -> dict[str, Any]:
    """One run in this process; what breaks in it is its reason, not the end of the wave."""
    device, dtype = task_place(measure)
    place = {"device": f"{device} {dtype}"}
    try:
        outcome = loaded_finetuner(arrived(model), device, dtype, measure, recipe).run(
            rows, sets, seed
        )
    except Exception as error:
        if device_is_lost(error):
            raise
        return place | {"status": "failed", "reason": failed(error)}
    return place | outcome_row(outcome)


def failed(error: Exception) -> str:
    """The reason of a run that failed."""
    return f"{type(error).__name__}: {error}"[:500]


def outcome_row(outcome: Any) -> dict[str, Any]:
    """The columns that `udfs.finetuning.finetuner.Outcome` fills."""
    return {
        "status": "ok",
        "losses": list(outcome.losses.items()),
        "prompt_losses": [
            (name, losses) for name, losses in outcome.prompt_losses.items() if losses
        ],
        "prompt_tokens": list(outcome.prompt_tokens.items()),
        "tokens": outcome.tokens,
        "steps": outcome.steps,
        "train_loss": None if outcome.train_loss != outcome.train_loss else outcome.train_loss,
        "read_tokens": outcome.read,
        "unused": outcome.unused,
        "seconds": outcome.seconds,
    }


def as_arrow(row: Mapping[str, Any]) -> pa.RecordBatch:
    """A row of `SCHEMA`; what it does not name is null."""
    types = {
        "MAP<STRING, DOUBLE>": pa.map_(pa.string(), pa.float64()),
        "MAP<STRING, ARRAY<DOUBLE>>": pa.map_(pa.string(), pa.list_(pa.float64())),
        "MAP<STRING, ARRAY<BIGINT>>": pa.map_(pa.string(), pa.list_(pa.int64())),
        "BIGINT": pa.int64(),
        "DOUBLE": pa.float64(),
        "STRING": pa.string(),
    }
    return pa.RecordBatch.from_pydict(
        {column.name: pa.array([row.get(column.name)], types[column.type]) for column in _COLUMNS}
    )

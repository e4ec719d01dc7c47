"""One finetune in a Spark task, and the row of `finetuning_runs` that says what came of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from instructmining.models.lists import ResolvedModel
from instructmining.models.shape import shape_of
from instructmining.models.weight_files import parameters_in
from instructmining.settings.learning import Finetune
from instructmining.settings.sections import Measure
from instructmining.store.schemas import TABLES
from udfs.finetuning.memory import training_budget, training_bytes
from udfs.indicator import task_place
from udfs.on_spark.placement import received
from udfs.running.batching import device_is_lost
from udfs.running.budget import LIBRARIES, LOGITS, default_token_budget
from udfs.running.compiling import use_compiled_code_of
from udfs.running.device import gpu_memory
from udfs.running.measurement import Conversation
from udfs.running.scorers import resident

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
        outcome = loaded_finetuner(model, device, dtype, measure, recipe).run(rows, sets, seed)
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
        "prompt_losses": [(name, each) for name, each in outcome.prompt_losses.items() if each],
        "prompt_tokens": list(outcome.prompt_tokens.items()),
        "tokens": outcome.tokens,
        "steps": outcome.steps,
        "train_loss": None if outcome.train_loss != outcome.train_loss else outcome.train_loss,
        "read_tokens": outcome.read,
        "unused": outcome.unused,
        "seconds": outcome.seconds,
    }


def loaded_finetuner(
    model: ResolvedModel, device: str, dtype: str, measure: Measure, recipe: Finetune
) -> Any:
    """The process's finetuner of this base model and recipe, made on first use."""
    from udfs.finetuning.finetuner import Finetuner

    use_compiled_code_of(measure.compiled_code)
    folder = received(model.folder)
    budget = measure.token_budget or _budget(folder, device, dtype, measure, recipe)
    how = measure.model_dump_json(include={"packing", "compile", "fused_optimizer"})
    settings = (str(budget), how, recipe.model_dump_json())
    return resident(
        ("finetuner", model.fingerprint, device, dtype, *settings),
        lambda: Finetuner(model.spec, folder, device, dtype, budget, recipe, measure),
    )


def _budget(folder: str, device: str, dtype: str, measure: Measure, recipe: Finetune) -> int:
    """Tokens of a forward pass: with packs on a GPU as many as fit, else what suits the device."""
    from udfs.finetuning.finetuner import adapter_of

    if not (measure.packing and device.startswith("cuda")):
        return default_token_budget(device)
    width = 2 if dtype == "bfloat16" else 4
    count = parameters_in([folder])
    adapter = adapter_of(recipe, count)
    held = training_bytes(count, adapter, width) + LIBRARIES + LOGITS["cuda"]
    room = int(gpu_memory(device) * min(1.0, measure.gpu_amount or 1.0)) - held
    return training_budget(shape_of(folder), adapter, width, room)


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

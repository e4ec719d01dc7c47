"""The model that is finetuned, in which precision, and whether it fits where it will run."""

from collections.abc import Mapping

from pyspark.sql import SparkSession

from instructmining.errors import UserError
from instructmining.models.lists import ModelList, ResolvedModel
from instructmining.models.shape import shape_of
from instructmining.settings.learning import Finetune
from instructmining.settings.sections import Measure, Tracking
from jobs.checks.resources import Place, is_local, parameters_of, place_of
from udfs.finetuning.adapters import adapter_of
from udfs.finetuning.memory import activation_bytes, training_bytes
from udfs.indicators import resolve
from udfs.on_spark.placement import model_slots
from udfs.running.budget import default_token_budget
from udfs.running.device import choose_device, resolve_dtype


def base_model(
    source: str | None,
    models: ModelList,
    resolved: Mapping[str, ResolvedModel],
    tracking: Tracking,
) -> ResolvedModel:
    """The causal language model that is finetuned.

    Args:
        source: where it is; None: the perplexity model of the list.
        models: the model list.
        resolved: its models by stage.
        tracking: where MLflow sources are looked up.

    Raises:
        UserError: the list has no causal language model, whose template `source` shares.
    """
    perplexity = resolved.get("perplexity")
    if perplexity is None or perplexity.spec.kind != "causal_lm":
        raise UserError(
            f"model list {models.name} has no causal language model to finetune: "
            "give it a perplexity model, whose template --base shares"
        )
    if source is None:
        return perplexity
    return resolve(perplexity.spec.model_copy(update={"source": source}), tracking)


def training_dtype(spark: SparkSession, finetune: Finetune, measure: Measure) -> str:
    """Precision of training, decided once for all nodes because it is in every run's key."""
    device = measure.device
    if finetune.dtype != "auto":
        return finetune.dtype
    if is_local(dict(spark.conf.getAll)):
        return resolve_dtype("auto", choose_device(device))
    owns_gpus = device != "cpu" and spark.conf.get("spark.executor.resource.gpu.amount", None)
    return "bfloat16" if owns_gpus else resolve_dtype("auto", "cpu")


def refuse_what_cannot_fit(
    spark: SparkSession, finetune: Finetune, measure: Measure, base: ResolvedModel
) -> None:
    """Compare the memory that simultaneous finetunes need with the memory there is.

    Args:
        spark: the session.
        finetune: the recipe.
        measure: device and token budget, with the dtype of training.
        base: the model that is finetuned.

    Raises:
        UserError: they certainly do not fit.
    """
    conf = dict(spark.conf.getAll)
    processes = finetune.gpus_per_run
    place = place_of(conf, measure, model_slots(spark, measure))
    if place is None or place.most is None:
        return
    copies = min(place.copies, processes) if processes > 1 and is_local(conf) else place.copies
    adapter = adapter_of(finetune, parameters_of(base))
    if (needed := copies * _bytes_of(base, place, finetune, measure.token_budget)) > place.most:
        held = f"{copies} processes of finetunes" if processes > 1 else f"{copies} finetunes"
        remedy = "" if adapter == "lora" else "finetune.adapter=lora, "
        remedy += "finetune.gpus_per_run over more GPUs, " if place.device == "cuda" else ""
        raise UserError(
            f"{held} of {base.spec.source} at a time ({adapter}) need at least "
            f"{needed / 2**30:.1f} GiB, but {place.words} is {place.most / 2**30:.1f} GiB: set "
            f"{remedy}a smaller --base or measure.token_budget, or fewer tasks at a time"
        )


def _bytes_of(base: ResolvedModel, place: Place, recipe: Finetune, budget: int | None) -> int:
    """The least that one process holds."""
    shape = shape_of(base.folder)
    count = parameters_of(base)
    adapter = adapter_of(recipe, count)
    processes = recipe.gpus_per_run
    tokens = budget or default_token_budget(place.device)
    tokens = max(tokens, recipe.max_length)
    needed = training_bytes(count, adapter, place.width, processes)
    needed += activation_bytes(shape, tokens, adapter == "lora", place.width)
    if processes == 1:
        return needed
    needed += count * place.width // shape.layers  # a layer is gathered whole while it computes
    return max(needed, count * place.width) if place.device == "cpu" else needed  # loaded whole

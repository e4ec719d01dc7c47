"""The finetuner that a Python worker keeps loaded, and the plan for its memory; no Spark."""

from typing import Any

from instructmining.models.lists import ResolvedModel
from instructmining.models.shape import shape_of
from instructmining.models.weight_files import parameters_in
from instructmining.settings.learning import Finetune
from instructmining.settings.sections import Measure
from udfs.finetuning.memory import Plan, planned
from udfs.running.budget import default_token_budget
from udfs.running.compiling import use_compiled_code_of
from udfs.running.device import gpu_memory, suited
from udfs.running.scorers import resident


def loaded_finetuner(
    model: ResolvedModel, device: str, dtype: str, measure: Measure, recipe: Finetune
) -> Any:
    """The process's finetuner of a base model and a recipe, made on first use.

    Args:
        model: resolved, with a folder that exists on this machine.
        device: of `udfs.running.device.choose_device`.
        dtype: `bfloat16` or `float32`, of the weights.
        measure: token budget, the share of a GPU, packs, compiling, fused optimizer.
        recipe: of the finetune.
    """
    from udfs.finetuning.finetuner import Finetuner

    measure = suited(measure, device)
    use_compiled_code_of(measure.compiled_code)
    plan = plan_of(model, device, dtype, measure, recipe)
    how = measure.model_dump_json(include={"packing", "compile", "fused_optimizer"})
    return resident(
        (
            "finetuner",
            model.fingerprint,
            device,
            dtype,
            repr(plan),
            how,
            recipe.model_dump_json(),
        ),
        lambda: Finetuner(
            model.spec,
            model.folder,
            device,
            dtype,
            plan.token_budget,
            recipe,
            measure,
            plan.recomputes,
            plan.keeps_start,
        ),
    )


def plan_of(
    model: ResolvedModel, device: str, dtype: str, measure: Measure, recipe: Finetune
) -> Plan:
    """How the run uses the memory: a GPU's as far as it goes, where packs are asked for.

    Rows that are padded to the longest cost more the more of them are read together.
    """
    if not (measure.packing and device.startswith("cuda")):
        tokens = measure.token_budget or default_token_budget(device)
        return Plan(tokens, recomputes=True, keeps_start=False)
    from udfs.finetuning.adapters import adapter_of

    count = parameters_in([model.folder])
    adapter = adapter_of(recipe, count)
    memory = int(gpu_memory(device) * min(1.0, measure.gpu_amount or 1.0))
    width = 2 if dtype == "bfloat16" else 4
    return planned(shape_of(model.folder), count, adapter, width, memory, measure.token_budget)

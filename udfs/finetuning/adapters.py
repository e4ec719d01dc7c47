"""Which weights of a model a finetune trains, and at what rate; torch, no Spark."""

from typing import Any

import torch

from instructmining.errors import UserError
from instructmining.settings.learning import Finetune

_LORA_FROM = 3e9  # parameters; above, full finetuning asks for 16 bytes of each
_SMALL_BELOW = 1e8


def adapter_of(recipe: Finetune, parameters: int) -> str:
    """`full` or `lora`."""
    if recipe.adapter != "auto":
        return recipe.adapter
    return "lora" if parameters >= _LORA_FROM else "full"


def peak_rate(recipe: Finetune, parameters: int) -> float:
    """Learning rate of AdamW after the warm-up: of the recipe, or what suits the model."""
    return recipe.rate or default_rate(adapter_of(recipe, parameters), parameters)


def default_rate(adapter: str, parameters: int) -> float:
    """Peak learning rate of AdamW where the settings name none."""
    if adapter == "lora":
        return 2e-4
    return 3e-4 if parameters < _SMALL_BELOW else 2e-5


def inject_lora(model: Any, rank: int) -> None:
    """Freeze the model and put an adapter of this rank beside every linear layer but the head."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ModuleNotFoundError:
        raise UserError(
            "LoRA needs peft: pip install 'instructmining[fit]', or set finetune.adapter=full"
        ) from None
    torch.manual_seed(0)  # the adapters start from the same numbers in every process
    inject_adapter_in_model(
        LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear"), model
    )


def recompute_activations(model: Any) -> None:
    """Keep no activations for the backward pass; transformers gave the switch another name."""
    how = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=how)
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=how)

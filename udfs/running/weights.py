"""Models and tokenizers out of a folder: safetensors only, never the network, no random weights."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec
from udfs.running.measurement import Runtime


def load_tokenizer(folder: str, spec: ModelSpec) -> Any:
    """The tokenizer of a model folder."""
    _be_quiet()
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=spec.trust_remote_code
        )
    except (ValueError, KeyError):  # a model type that transformers does not know
        if not (Path(folder) / "tokenizer.json").is_file():
            raise
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    return tokenizer


def load_model(auto_class: Any, spec: ModelSpec, runtime: Runtime, **options: Any) -> Any:
    """A model in evaluation mode on its device.

    Args:
        auto_class: anything with transformers' `from_pretrained`.
        spec: names the model in messages; says whether its own code may run.
        runtime: the folder with config.json and the safetensors files, the device, and the dtype
            of the weights themselves (no autocast).
        options: further arguments of `from_pretrained`.

    Raises:
        UserError: no safetensors file, or weights missing that transformers would draw at random.
    """
    if not any(Path(runtime.folder).glob("*.safetensors")):
        raise UserError(
            f"model {spec.source}: no .safetensors file in {runtime.folder}; pickled weights "
            "(.bin, .pt) can run code when loaded, so convert them: load them in transformers "
            "where you trust them and call save_pretrained"
        )
    _be_quiet()
    model, info = auto_class.from_pretrained(
        runtime.folder,
        dtype=getattr(torch, runtime.dtype),
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=spec.trust_remote_code,
        output_loading_info=True,
        **options,
    )
    absent = sorted(name for name in info["missing_keys"] if not name.startswith("pooler."))
    absent += sorted(str(name) for name in info["mismatched_keys"])
    if absent:
        raise UserError(
            f"model {spec.source}: the folder has no fitting weights for {', '.join(absent[:3])}"
            f"{' …' if len(absent) > 3 else ''}; it is not a trained {type(model).__name__}"
        )
    return model.eval().to(runtime.device)


def position_limit(model: Any) -> int:
    """How many tokens the model has positions for; very many where positions are relative."""
    config = model.config.get_text_config()
    positions = getattr(config, "max_position_embeddings", None)
    # RoBERTa and its kin count positions from after the padding id.
    taken = getattr(getattr(model.base_model, "embeddings", None), "padding_idx", None)
    return int(positions or 10**9) - (0 if taken is None else taken + 1)


def _be_quiet() -> None:
    """No progress bar per worker, no report of weights that a head of ours does not use."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()


def to_device(array: NDArray[Any], device: str) -> torch.Tensor:
    """Copy to the device; pinned and asynchronous where that is a GPU."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.startswith("cuda"):
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor

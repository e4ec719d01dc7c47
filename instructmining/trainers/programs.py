"""What each training program documents of its data: layout, settings, and the command to begin.

Calls of tools and reasoning stand in the texts of turns, as models measure them: every program
keeps texts. What a program has no place for is counted, never left out silently.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from instructmining.layouts.records import CONTEXT, Messages
from instructmining.layouts.writing import plain_turn, record_of
from instructmining.turns.structure import Structure

MODEL = "YOUR-MODEL"  # stands where a user names the model to be tuned


@dataclass(frozen=True)
class Program:
    """A training program.

    Attributes:
        record: a conversation and its structure to a line of its file; None: it cannot hold it.
        keeps: what it can hold of `marks` (turns that are not learnt) and `tools` (definitions).
        settings: the file to the name and the text of the settings that name it.
        command: those two files to the command that begins a training.
    """

    record: Callable[[Messages, Structure], dict[str, Any] | None]
    keeps: frozenset[str]
    settings: Callable[[Path], tuple[str, str]]
    command: Callable[[Path, Path], str]


def losses(messages: Messages, structure: Structure, program: Program) -> list[str]:
    """What of an example the program does not get: a part of `marks`, `tools`, `media`, `after`."""
    has = {
        "marks": any(turn["role"] == CONTEXT for turn in messages),
        "tools": "tools" in structure,
        "media": "media" in structure or _has_blocks(structure),
        "after": "after" in structure,
    }
    return [part for part, there in has.items() if there and part not in program.keeps]


def _has_blocks(structure: Structure) -> bool:
    """Whether a turn holds pictures and the like as content blocks."""
    turns = structure.get("turns", {}).values()
    return any(isinstance(turn.get("content"), list) for turn in turns)


def _texts(messages: Messages, structure: Structure) -> dict[str, Any]:
    return {"messages": [plain_turn(turn) for turn in messages]}


def _trl(messages: Messages, structure: Structure) -> dict[str, Any]:
    tools = structure.get("tools")
    text = tools if tools is None or isinstance(tools, str) else json.dumps(tools)
    # In every line: a column that only some lines have is null in the others anyway.
    return {**_texts(messages, structure), "tools": text}


def _axolotl(messages: Messages, structure: Structure) -> dict[str, Any]:
    turns = [{**plain_turn(turn), "train": turn["role"] == "assistant"} for turn in messages]
    return {"messages": turns}


def _llama_factory(messages: Messages, structure: Structure) -> dict[str, Any] | None:
    """ShareGPT; turns have to alternate, beginning with a question and ending with an answer."""
    roles = ["assistant" if turn["role"] == CONTEXT else turn["role"] for turn in messages]
    spoken = roles[1:] if roles[0] == "system" else roles
    asks = [role in ("user", "tool") for role in spoken]
    if len(spoken) % 2 or asks != [True, False] * (len(spoken) // 2):
        return None
    beside = {"tools": structure["tools"]} if "tools" in structure else {}
    record = record_of([plain_turn(turn) for turn in messages], "sharegpt", beside)
    return {"conversations": record["conversations"], "tools": record.get("tools", "")}


def _yaml(**settings: Any) -> str:
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)


def _trl_settings(file: Path) -> tuple[str, str]:
    return f"{file.stem}.trl.yml", _yaml(
        model_name_or_path=MODEL,
        datasets=[{"path": "json", "data_files": str(file), "split": "train"}],
        assistant_only_loss=True,
        output_dir=f"{file.stem}-trl",
    )


def _axolotl_settings(file: Path) -> tuple[str, str]:
    data = {
        "path": str(file),
        "ds_type": "json",
        "type": "chat_template",
        "field_messages": "messages",
        "message_property_mappings": {"role": "role", "content": "content"},
        "roles_to_train": [],
        "train_on_eos": "turn",
        "message_field_training": "train",
    }
    return f"{file.stem}.axolotl.yml", _yaml(
        base_model=MODEL, datasets=[data], output_dir=f"{file.stem}-axolotl"
    )


def _llama_factory_settings(file: Path) -> tuple[str, str]:
    entry = {
        "file_name": file.name,
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "tools": "tools"},
        "tags": {
            "role_tag": "from",
            "content_tag": "value",
            "user_tag": "human",
            "assistant_tag": "gpt",
            "observation_tag": "tool",
            "function_tag": "function_call",
            "system_tag": "system",
        },
    }
    return "dataset_info.json", json.dumps({file.stem: entry}, indent=2, ensure_ascii=False) + "\n"


def _torchtune_settings(file: Path) -> tuple[str, str]:
    data = {
        "_component_": "torchtune.datasets.chat_dataset",
        "source": "json",
        "data_files": str(file),
        "conversation_column": "messages",
        "conversation_style": "openai",
        "train_on_input": False,
        "split": "train",
    }
    return f"{file.stem}.torchtune.yml", _yaml(dataset=data)


def _open_instruct_settings(file: Path) -> tuple[str, str]:
    return f"{file.stem}.open-instruct.yml", _yaml(
        model_name_or_path=MODEL,
        dataset_mixer_list=[str(file), "1.0"],
        dataset_mixer_list_splits=["train"],
        output_dir=f"{file.stem}-open-instruct",
    )


PROGRAMS = {
    "trl": Program(
        _trl,
        frozenset({"tools"}),
        _trl_settings,
        lambda file, settings: f"trl sft --config {settings}",
    ),
    "axolotl": Program(
        _axolotl,
        frozenset({"marks"}),
        _axolotl_settings,
        lambda file, settings: f"axolotl train {settings}",
    ),
    "llama-factory": Program(
        _llama_factory,
        frozenset({"tools"}),
        _llama_factory_settings,
        lambda file, settings: (
            f"llamafactory-cli train --stage sft --do_train --model_name_or_path {MODEL} "
            f"--dataset_dir {settings.parent} --dataset {file.stem} --template TEMPLATE "
            f"--output_dir {file.stem}-llama-factory"
        ),
    ),
    "torchtune": Program(
        _texts,
        frozenset(),
        _torchtune_settings,
        lambda file, settings: (
            "tune run full_finetune_single_device --config CONFIG.yaml  "
            f"# with the section dataset of {settings}"
        ),
    ),
    "open-instruct": Program(
        _texts,
        frozenset(),
        _open_instruct_settings,
        lambda file, settings: f"accelerate launch open_instruct/finetune.py {settings}",
    ),
}

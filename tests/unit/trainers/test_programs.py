"""Conversations as training programs read them: TRL by its own code, the others as documented."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from trl import DatasetMixtureConfig, get_dataset
from trl.scripts.utils import DatasetConfig

from instructmining.errors import UserError
from instructmining.selecting.export_target import target_of
from instructmining.settings.sections import Export
from instructmining.trainers.programs import PROGRAMS
from instructmining.trainers.writing import records

CALL = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


def turns(*pairs: str) -> list[dict[str, str]]:
    return [dict(zip(("role", "content"), pair.split(":", 1), strict=True)) for pair in pairs]


def example(messages: list[dict[str, str]], **structure: Any) -> dict[str, Any]:
    return {"messages": messages, "structure": json.dumps(structure) if structure else None}


PLAIN = example(turns("system:Be brief.", "user:Grüße", "assistant:日本"))
TOOL = example(turns("user:q", f"assistant:{CALL}", "tool:3", "assistant:three"), tools=TOOLS)
MASKED = example(turns("user:q", "assistant_context:no", "user:again", "assistant:yes"))
TWICE = example(turns("user:one", "user:two", "assistant:a"))
EXAMPLES = [PLAIN, TOOL, MASKED, TWICE]


def lines(name: str) -> tuple[list[dict[str, Any]], Counter[str]]:
    lost: Counter[str] = Counter()
    return list(records(EXAMPLES, PROGRAMS[name], lost)), lost


def test_trl_reads_the_file_that_its_settings_name(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    file = tmp_path / "best.jsonl"
    written, lost = lines("trl")
    file.write_text("".join(json.dumps(record) + "\n" for record in written))
    _, text = PROGRAMS["trl"].settings(file)
    named = [DatasetConfig(**each) for each in yaml.safe_load(text)["datasets"]]
    [found] = get_dataset(DatasetMixtureConfig(datasets=named)).values()
    roles = {"assistant_context": "assistant"}
    expected = [
        [{**turn, "role": roles.get(turn["role"], turn["role"])} for turn in each["messages"]]
        for each in EXAMPLES
    ]
    assert found["messages"] == expected
    assert [tools and json.loads(tools) for tools in found["tools"]] == [None, TOOLS, None, None]
    assert lost == {"written": 4, "marks": 1}


def test_trl_knows_every_setting(tmp_path: Path):
    from trl import ModelConfig, ScriptArguments, SFTConfig

    known = {
        name
        for each in (DatasetMixtureConfig, ModelConfig, ScriptArguments, SFTConfig)
        for name in each.__dataclass_fields__
    }
    _, text = PROGRAMS["trl"].settings(tmp_path / "best.jsonl")
    assert set(yaml.safe_load(text)) <= known


def test_axolotl_is_told_which_turns_to_learn():
    written, lost = lines("axolotl")
    assert [[turn["train"] for turn in record["messages"]] for record in written] == [
        [False, False, True],
        [False, True, False, True],
        [False, False, False, True],
        [False, False, True],
    ]
    assert lost == {"written": 4, "tools": 1}
    _, text = PROGRAMS["axolotl"].settings(Path("best.jsonl"))
    [data] = yaml.safe_load(text)["datasets"]
    assert data["message_field_training"] == "train"
    assert data["roles_to_train"] == []


def test_llama_factory_gets_turns_in_the_order_that_it_takes():
    written, lost = lines("llama-factory")
    title, text = PROGRAMS["llama-factory"].settings(Path("data/best.jsonl"))
    entry = json.loads(text)["best"]
    tags = entry["tags"]
    asks = {tags["user_tag"], tags["observation_tag"]}
    says = {tags["assistant_tag"], tags["function_tag"]}
    for record in written:  # what its documentation asks for, of data/README.md
        spoken = [turn[tags["role_tag"]] for turn in record[entry["columns"]["messages"]]]
        spoken = spoken[spoken[0] == tags["system_tag"] :]
        assert all(name in (says if place % 2 else asks) for place, name in enumerate(spoken))
        assert len(spoken) % 2 == 0
    assert title == "dataset_info.json"
    assert entry["file_name"] == "best.jsonl"
    assert [record["tools"] for record in written] == ["", json.dumps(TOOLS), ""]
    assert lost == {"written": 3, "refused": 1, "marks": 1}


@pytest.mark.parametrize("name", ["torchtune", "open-instruct"])
def test_the_others_get_the_messages_of_openai(name: str):
    schema = {
        "properties": {
            "messages": {
                "items": {
                    "properties": {
                        "role": {"enum": ["system", "user", "assistant", "tool"]},
                        "content": {"type": "string"},
                    },
                    "additionalProperties": False,
                    "required": ["role", "content"],
                }
            }
        },
        "required": ["messages"],
        "additionalProperties": False,
    }
    written, lost = lines(name)
    for record in written:
        jsonschema.validate(record, schema)
    assert lost == {"written": 4, "marks": 1, "tools": 1}
    _, text = PROGRAMS[name].settings(Path("/data/best.jsonl"))
    assert "/data/best.jsonl" in text
    yaml.safe_load(text)


@pytest.mark.parametrize(
    ("export", "sentence"),
    [
        (Export(trainer="trl"), "name it with --to"),
        (Export(trainer="trl", to="a.parquet"), r"end --to a\.parquet in \.jsonl"),
        (Export(trainer="trl", to="a.jsonl.gz"), r"in \.jsonl instead"),
        (Export(trainer="trl", to="a.jsonl", layout="alpaca"), "leave out --as alpaca"),
    ],
)
def test_what_does_not_go_together_is_refused(export: Export, sentence: str):
    with pytest.raises(UserError, match=sentence):
        target_of(export)

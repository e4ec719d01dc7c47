"""The texts the embedded models may learn from: half 0 of the freely licensed pools.

Every pool is split by the parity of the first byte of `example_id`. Training reads half 0; every
reported figure is measured on half 1. OASST trees and Synthetic-Persona-Chat are left out on
purpose: their examples share prefixes or depend on how a cell is cut into turns, so no split by id
can promise that a held-out text was never seen.
"""

import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from instructmining.identity import example_id, half

Messages = list[dict[str, str]]

DEFAULT_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
FORBIDDEN = ("eval", "alpaca", "noncommercial")
_SHAREGPT_ROLES = {"human": "user", "gpt": "assistant", "system": "system"}


@dataclass(frozen=True)
class Pool:
    """A freely licensed file of instruction data."""

    path: str
    licence: str
    attribution: str


POOLS = {
    "dolly": Pool(
        "instruct/databricks-dolly-15k.jsonl",
        "CC BY-SA 3.0",
        "© 2023 Databricks, Inc.; parts from Wikipedia contributors",
    ),
    "gpteacher_codegen": Pool("instruct/gpteacher_codegen.json.gz", "MIT", "© 2023 Teknium"),
    "gpteacher_roleplay": Pool("instruct/gpteacher_roleplay.json", "MIT", "© 2023 Teknium"),
    "cot_ecqa": Pool(
        "instruct/cot_ecqa_train.json.gz",
        "ODC-By 1.0",
        "ECQA; formatted by Alpaca-CoT (Apache-2.0)",
    ),
    "cot_sensemaking": Pool(
        "instruct/cot_sensemaking_train.json.gz",
        "ODC-By 1.0",
        "Sense-Making; formatted by Alpaca-CoT (Apache-2.0)",
    ),
    "instruction_data": Pool("instruct/instruction-data.json", "Apache-2.0", "© Sebastian Raschka"),
    "self_instruct_seed": Pool(
        "instruct/self_instruct_seed_tasks.jsonl", "Apache-2.0", "Self-Instruct, Wang et al."
    ),
    "sgd": Pool(
        "chat/sgd_sharegpt.jsonl.gz",
        "CC BY-SA 4.0",
        "© Google LLC, Schema-Guided Dialogue; converted to ShareGPT layout",
    ),
}


@dataclass(frozen=True)
class Example:
    """One conversation and where it came from."""

    pool: str
    identifier: str
    messages: Messages

    @property
    def prompt(self) -> str:
        """Every turn before the last."""
        return "\n\n".join(message["content"] for message in self.messages[:-1])

    @property
    def response(self) -> str:
        """The last assistant turn."""
        return self.messages[-1]["content"]


def data_folder(argument: str | None = None) -> Path:
    """The data folder: the argument, else `INSTRUCTMINING_DATA`, else `../shared/data`."""
    return Path(argument or os.environ.get("INSTRUCTMINING_DATA") or DEFAULT_DATA)


def open_allowed(data: Path, relative: str) -> list[Any]:
    """All records of a JSON array or JSON-lines file, gzipped or not.

    Raises:
        PermissionError: the file is for evaluation only, or its licence forbids trained weights.
    """
    if any(part.lower().startswith(FORBIDDEN) for part in Path(relative).parts):
        raise PermissionError(f"{relative} must never be used for training")
    raw = (data / relative).read_bytes()
    text = (gzip.decompress(raw) if relative.endswith(".gz") else raw).decode("utf-8")
    if text.lstrip().startswith("["):
        return list(json.loads(text))
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def pool_examples(data: Path, pool: str) -> Iterator[Example]:
    """The distinct usable examples of a pool, both halves, in file order."""
    seen: set[str] = set()
    for record in open_allowed(data, POOLS[pool].path):
        for messages in _conversations(record):
            identifier = example_id(messages)
            usable = messages[-1]["role"] == "assistant" and messages[-1]["content"].strip()
            if usable and identifier not in seen:
                seen.add(identifier)
                yield Example(pool, identifier, messages)


@cache
def half_examples(data: Path, which: int) -> tuple[Example, ...]:
    """Examples of every pool in half 0 (training) or half 1 (figures); an id occurs once."""
    examples = {
        example.identifier: example
        for pool in POOLS
        for example in pool_examples(data, pool)
        if half(example.identifier) == which
    }
    return tuple(examples.values())


def digest(identifiers: list[str]) -> str:
    """One SHA-256 over the sorted ids, to record in a card which examples were seen."""
    return hashlib.sha256("\n".join(sorted(identifiers)).encode()).hexdigest()


def single_turn(instruction: str, context: str, response: str) -> Messages:
    """One instruction and its answer; a non-blank input follows after a blank line."""
    prompt = f"{instruction}\n\n{context}" if context.strip() else instruction
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]


def _conversations(record: dict[str, Any]) -> list[Messages]:
    if "conversations" in record:
        turns = [
            {"role": _SHAREGPT_ROLES[turn["from"]], "content": turn["value"]}
            for turn in record["conversations"]
        ]
        while turns and turns[-1]["role"] != "assistant":
            turns.pop()
        return [turns] if turns else []
    if "instances" in record:
        return [
            single_turn(record["instruction"], instance["input"], instance["output"])
            for instance in record["instances"]
        ]
    context = record.get("context", record.get("input", ""))
    response = record.get("response", record.get("output", ""))
    return [single_turn(record["instruction"], context, response)]

"""Real rows for the proofs: held-out Dolly where the data folder is at hand, else the sample."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from instructmining.identity import example_id, half
from instructmining.layouts.detection import Unusable, standardize

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("INSTRUCTMINING_DATA") or ROOT.parent / "shared" / "data")
SAMPLE = ROOT / "conf" / "sample"
_HELD_OUT = 1  # the half of each pool that the embedded models have not seen


def write_real_rows(target: Path, wanted: int, longest: int = 10**9) -> str:
    """Write about `wanted` distinct records as JSON lines, spread evenly over their source.

    Args:
        target: the file.
        wanted: how many records; fewer where the source has fewer.
        longest: records of more characters than this are passed over.

    Returns:
        What they are, in words.
    """
    dolly = DATA / "instruct" / "databricks-dolly-15k.jsonl"
    if dolly.is_file():
        usable = {i: line for i, line in _usable([dolly]) if half(i) == _HELD_OUT}
        name = "Dolly, half 1"
    else:
        usable = dict(_usable(sorted(SAMPLE.glob("*.json*"))))
        name = "conf/sample (no data folder: set INSTRUCTMINING_DATA)"
    fitting = [line for line in usable.values() if len(line) <= longest]
    step = max(1, len(fitting) // wanted)
    chosen = fitting[::step][:wanted]
    target.write_text("\n".join(chosen) + "\n", encoding="utf-8")
    return f"{len(chosen)} rows of {name}"


def _usable(files: list[Path]) -> Iterator[tuple[str, str]]:
    """Id and JSON of every record of one question and one answer."""
    for record in (record for file in files for record in _records(file)):
        try:
            _, [(_, conversation)] = standardize(record)
        except (Unusable, ValueError):  # not one conversation
            continue
        if isinstance(conversation, list) and [m["role"] for m in conversation] == [
            "user",
            "assistant",
        ]:
            yield example_id(conversation), json.dumps(record, ensure_ascii=False)


def _records(file: Path) -> Iterator[Any]:
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".json":
        yield from json.loads(text)
        return
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:  # the sample has a broken line on purpose
            continue

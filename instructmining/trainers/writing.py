"""Write chosen examples as a training program reads them, with the settings that name the file."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame

from instructmining.errors import UserError
from instructmining.selecting.export_files import Written, json_line, refuse_files, replacing
from instructmining.selecting.export_target import Target
from instructmining.trainers.programs import PROGRAMS, Program, losses

_SAID = {
    "marks": "turns that are not to be learnt, which {name} learns",
    "tools": "tool definitions, which {name} does not get",
    "media": "pictures or other media, which {name} does not get",
    "after": "turns after the response, which {name} does not get",
    "refused": "turns in an order that {name} does not take, and were left out",
}


def write_for(rows: DataFrame, target: Target, name: str, overwrite: bool) -> Written:
    """Write the file and the settings; the notes count what the program cannot hold.

    Args:
        rows: with `rank`, `messages` and `structure`; they pass through the driver one by one.
        target: one local file of JSON lines.
        name: of `PROGRAMS`.
        overwrite: replace the files if they are there.

    Raises:
        UserError: a file is there, or no example can be held.
    """
    program = PROGRAMS[name]
    file = Path(target.place)
    title, text = program.settings(file)
    settings = file.with_name(title)
    refuse_files(() if overwrite else [settings])
    ordered = rows.orderBy("rank").select("messages", "structure").toLocalIterator()
    examples = (row.asDict(recursive=True) for row in ordered)
    lost: Counter[str] = Counter()
    with replacing(file) as out:
        for record in records(examples, program, lost):
            out.write(json_line(record))
        if not lost["written"]:
            raise UserError(f"--for {name}: it takes none of the chosen conversations")
    with replacing(settings) as out:
        out.write(text.encode())
    notes = [
        f"{lost[part]:,} examples have {said.format(name=name)}"
        for part, said in _SAID.items()
        if lost[part]
    ]
    notes.append(f"begin with: {program.command(file, settings)}")
    return Written([str(file), str(settings)], f"as {name} reads it", notes)


def records(
    examples: Iterable[dict[str, Any]], program: Program, lost: Counter[str]
) -> Iterator[dict[str, Any]]:
    """The lines of the file.

    Args:
        examples: `messages` and `structure`, which is JSON or null.
        program: for which they are.
        lost: counts the examples that are `written`, `refused`, and those that lose something.
    """
    for example in examples:
        messages = example["messages"]
        structure = json.loads(example["structure"]) if example["structure"] else {}
        record = program.record(messages, structure)
        if record is None:
            lost["refused"] += 1
            continue
        lost["written"] += 1
        lost.update(losses(messages, structure, program))
        yield record

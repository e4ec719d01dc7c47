"""Real rows and hand-made ones for comparisons with independent computations."""

import json
import os
from pathlib import Path

import pytest
import torch

from instructmining.models.lists import ModelSpec
from udfs.indicators import resolve
from udfs.running.scorers import load_scorer

DATA = Path(os.environ.get("INSTRUCTMINING_DATA", Path(__file__).parents[3] / "shared" / "data"))


# Tiny matrices: a second thread costs more in waiting than it brings, above all on a busy machine.
torch.set_num_threads(1)


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


# One token, several languages, several turns, a system message, a special token in the text.
HAND_MADE = [
    [user("Is Paris in France?"), assistant("Y")],
    [user("a"), assistant("b")],
    [user("Translate: good morning"), assistant("Guten Morgen! おはよう 早上好 صباح الخير 🌞")],
    [
        {"role": "system", "content": "Be brief."},
        user("Hi"),
        assistant("Hello."),
        user("Name three rivers."),
        assistant("Seine, Rhine and Danube."),
    ],
    [user("What closes a text?"), assistant("Often </s> or <|endoftext|> does.")],
    [user("List ten numbers"), assistant("1 2 3 4 5 6 7 8 9 10")],
]


@pytest.fixture(scope="session")
def hand_made():
    return HAND_MADE


@pytest.fixture(scope="session")
def real_rows():
    """200 rows of Dolly as conversations: 190 of at most 600 characters, 10 of 1,500 to 2,500."""
    path = DATA / "instruct" / "databricks-dolly-15k.jsonl"
    if not path.is_file():
        pytest.skip(f"no {path}; set INSTRUCTMINING_DATA to the data folder")
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line, _ in zip(lines, range(1000), strict=False)]
    prompts = ["\n\n".join(filter(None, (r["instruction"], r["context"]))) for r in rows]
    found = [[user(p), assistant(r["response"])] for p, r in zip(prompts, rows, strict=True)]
    sizes = [len(c[0]["content"]) + len(c[1]["content"]) for c in found]
    short = [c for c, size in zip(found, sizes, strict=True) if size <= 600]
    long = [c for c, size in zip(found, sizes, strict=True) if 1500 <= size <= 2500]
    return short[:190] + long[:10]


@pytest.fixture(scope="session")
def scorer_of():
    """A scorer in float32 on the CPU, from a model folder, through the public entry point."""

    def load(folder, kind, token_budget=None, **spec):
        model = resolve(ModelSpec(kind=kind, source=str(folder), **spec))
        return load_scorer(model, "cpu", "float32", token_budget)

    return load

"""A record takes time in proportion to its size, whatever is in it."""

import json
import time
from collections.abc import Callable

import pytest

from instructmining.layouts.standard_form import standard_rows
from instructmining.settings.sections import Read

TURN = "turn {} of many, which says something; "


def turns(n: int) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": TURN.format(i)} for i in range(n)]


RECORDS: dict[str, Callable[[int], dict]] = {
    "many texts that are not read": lambda n: {
        "prompt": "q " * n,
        "response": "a",
        **{f"f{i}": f"value {i} that nobody has read" for i in range(n)},
    },
    "a list of texts that are not read": lambda n: {
        "prompt": "q " * n,
        "response": "a",
        "tokens": [f"t{i}" for i in range(4 * n)],
    },
    "a conversation that is there twice": lambda n: {
        "messages": turns(n),
        "text": "".join(each["content"] for each in turns(n)) + "and a tail",
    },
    "white space between speakers": lambda n: {"text": "USER: a" + " \n" * n + "ASSISTANT: b"},
    "white space before a mark": lambda n: {
        "text": "### Human: a" + " \n" * n + "### Assistant: b"
    },
    "marks at the end": lambda n: {"text": "USER: a ASSISTANT: b" + " <|endoftext|>" * n + "x"},
    "speakers alone": lambda n: {"prompt": "\n\nHuman: q" * n + "\n\nAssistant:", "response": "a"},
    "brackets": lambda n: {"prompt": "q", "response": "[" * n},
    "a list of Python that is cut": lambda n: {"prompt": "q", "response": "[{'a': " * n},
}


@pytest.mark.parametrize("kind", RECORDS)
def test_four_times_the_size_takes_four_times_as_long(kind: str) -> None:
    n = 250
    while processor_seconds(RECORDS[kind](n)) < 0.004 and n < 64_000:
        n *= 2
    for _ in range(5):  # another program may take the caches at any moment
        one, two, four = (processor_seconds(RECORDS[kind](n * times)) for times in (1, 2, 4))
        if four < 9 * one or four < 4 * two - one:  # 16 and 4 where it grows with the square
            return
    pytest.fail(f"{one:.4f}, {two:.4f} and {four:.4f} s for n, 2n and 4n")


def processor_seconds(record: dict) -> float:
    row = {
        "raw": json.dumps(record).encode(),
        "source": "f",
        "position": 1,
        "records": 1,
        "reason": None,
        "detail": None,
    }
    started = time.process_time()
    standard_rows(row, Read().model_dump())
    return time.process_time() - started

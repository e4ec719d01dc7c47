"""The rows that models are timed on: Alpaca where the data folder has it, else of such lengths."""

import json
import random
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from bench.harness.rows import DATA

WINDOW = 4_000
_SEED = 7
_VOCABULARY = 50_304
_MARK = "<|endoftext|>"
# Tokens of an Alpaca row: the middles of 40 equal shares of the rows, the last one the longest.
LENGTHS = (
    13,
    17,
    20,
    22,
    24,
    25,
    26,
    27,
    29,
    31,
    32,
    34,
    36,
    38,
    40,
    42,
    46,
    49,
    53,
    56,
    60,
    64,
    68,
    72,
    77,
    80,
    85,
    89,
    93,
    98,
    102,
    107,
    111,
    117,
    125,
    133,
    145,
    161,
    183,
    590,
)
_WORDS = (  # noqa: SIM905
    "the of and to in a is that for it as was with be by on not he his but at are this have from "
    "or had an they which one you were her all she there would their we him been has when who "
    "will more no if out so said what up its about into than them can only other new some could "
    "time these two may then do first any my now such like our over man me even most made after "
    "also did many before must through"
).split()


@cache
def window() -> tuple[str, tuple[str, ...]]:
    """What the rows are, in words, and `WINDOW` texts in an order drawn once."""
    draw = random.Random(_SEED)  # noqa: S311 a sample, no secret
    file = DATA / "instruct" / "alpaca_data.json"
    if not file.is_file():
        return "synthetic rows of Alpaca's lengths", tuple(_synthetic(draw))
    rows = json.loads(file.read_text(encoding="utf-8"))
    texts = [
        "\n".join(filter(None, map(row.get, ("instruction", "input", "output")))) for row in rows
    ]
    return "Alpaca rows", tuple(draw.sample(texts, WINDOW))


def _synthetic(draw: random.Random) -> Iterable[str]:
    for _ in range(WINDOW):
        yield " ".join(draw.choices(_WORDS, k=draw.choice(LENGTHS)))


def records(first: int, last: int, words: int | None = None) -> Iterator[dict[str, str]]:
    """The records numbered `first` to `last` of an endless list, no two alike.

    Those of Alpaca, in an order drawn once, as far as they reach and the data folder has them; made
    up after them, of Alpaca's lengths; all made up of `words` words where that is given.
    """
    real = [] if words else _alpaca()
    for i in range(first, last):
        if i < len(real):
            yield real[i]
            continue
        draw = random.Random(_SEED + i)  # noqa: S311 a sample, no secret
        answer = " ".join(draw.choices(_WORDS, k=words or draw.choice(LENGTHS)))
        yield {"instruction": f"Question {i}?", "output": answer}


@cache
def _alpaca() -> list[dict[str, str]]:
    """Every distinct usable record, shuffled; empty without the data folder."""
    file = DATA / "instruct" / "alpaca_data.json"
    if not file.is_file():
        return []
    rows = {
        (row["instruction"], row["input"], row["output"]): row
        for row in json.loads(file.read_text(encoding="utf-8"))
        if row["output"].strip()
    }
    chosen = list(rows.values())
    random.Random(_SEED).shuffle(chosen)  # noqa: S311 a sample, no secret
    return chosen


def spread_out(lengths: list[int], wanted: int) -> list[int]:
    """Numbers of `wanted` rows at equal steps of the sorted lengths, longest and shortest included.

    They come in file order, so that an arm that does not sort meets them unsorted.
    """
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
    steps = [round(i * (len(lengths) - 1) / (wanted - 1)) for i in range(wanted)]
    return sorted(by_length[step] for step in steps)


@cache
def bpe() -> Any:
    """A byte-level BPE of GPT-NeoX's size, learnt from the window."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=[_MARK],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(window()[1], trainer)
    marks = dict.fromkeys(("bos_token", "eos_token"), _MARK)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks)

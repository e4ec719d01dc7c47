"""Examples that share words with an evaluation set: eight in a row, or a whole short prompt.

Words are runs of letters and digits after NFKC and case folding; scripts without spaces count by
character. A prompt of fewer words than n is too short for a run: there an example overlaps with an
evaluation set where both prompts have exactly the same words.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame

from instructmining.finetunes.evaluation_sets import EvaluationSet

Message = Mapping[str, str]
# Han, kana, Thai, Lao, Khmer and Myanmar are written without spaces between words.
_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff"
_OVERLAP = ["example_id", "evaluation", "shared"]
_WORD = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}]+")


def words(text: str) -> list[str]:
    """The normalised words of a text, in order."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def marks(conversation: Sequence[Message], n: int) -> set[str]:
    """What two conversations must share to overlap: runs of n words, or the short prompt.

    Args:
        conversation: messages; runs do not cross from one message into another.
        n: words of a run.
    """
    texts = [words(message["content"]) for message in conversation]
    runs = {" ".join(text[i : i + n]) for text in texts for i in range(len(text) - n + 1)}
    history = [
        text
        for text, message in zip(texts, conversation, strict=True)
        if message["role"] != "assistant"
    ]
    if any(history) and all(len(text) < n for text in history):
        # No run holds a line break: only equal prompts share this.
        runs.add("\n".join(" ".join(text) for text in history) + "\n")
    return runs


def overlapping(examples: DataFrame, sets: Sequence[EvaluationSet], n: int) -> DataFrame:
    """The examples that overlap, one row per set: `example_id`, `evaluation`, `shared` words.

    Args:
        examples: `example_id`, `messages`.
        sets: as they were read.
        n: words of a run.
    """
    known = {
        evaluation.name: frozenset(_all_marks(evaluation.conversations, n)) for evaluation in sets
    }
    marks_by_set = examples.sparkSession.sparkContext.broadcast(known)

    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            ids = batch["example_id"].to_pylist()
            texts = batch["messages"].to_pylist()
            shared = [
                (identifier, name, mark)
                for identifier, messages in zip(ids, texts, strict=True)
                for name, mark in _shared(messages, marks_by_set.value, n)
            ]
            columns = zip(*shared, strict=True) if shared else ([], [], [])
            yield pa.RecordBatch.from_arrays(
                [pa.array(column, pa.string()) for column in columns], _OVERLAP
            )

    chosen = examples.select("example_id", "messages")
    return chosen.mapInArrow(find, ", ".join(f"{name} STRING" for name in _OVERLAP))


def _all_marks(conversations: Iterable[Sequence[Message]], n: int) -> Iterator[str]:
    for conversation in conversations:
        yield from marks(conversation, n)


def _shared(
    messages: Sequence[Message], known: Mapping[str, frozenset[str]], n: int
) -> Iterator[tuple[str, str]]:
    """Each set that shares a run or a prompt with the conversation, and the first such run."""
    own = marks(messages, n)
    for name, theirs in known.items():
        if both := own & theirs:
            yield name, min(both).strip()

"""Lexical diversity of the responses: MTLD (McCarthy & Jarvis 2010, Behavior Research Methods 42).

The mean length, in words, of stretches that keep a type-token ratio above 0.72; mean of a forward
and a backward pass; higher: more varied. Words and the rest of the last stretch are those of
`lexicalrichness` (lower case, digits and punctuation dropped, split at white space), so a
language written without spaces has too few words to measure.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from instructmining.models.lists import ModelSpec
from udfs.running.batching import for_each_batch
from udfs.running.measurement import Conversation, Measurement
from udfs.texts.conversations import assistant_text, defects

THRESHOLD = 0.72
FEWEST_WORDS = 10  # below, implementations disagree and all-distinct words decide the value


class MtldScorer:
    """Kind `mtld`: no weights, no torch."""

    def __init__(
        self,
        spec: ModelSpec,
        folder: str,
        base_folder: str | None,
        device: str,
        dtype: str,
        token_budget: int,
    ):
        self.indicators = spec.indicators

    def measure(self, conversations: Sequence[Conversation]) -> Measurement:
        """MTLD of all assistant turns joined; `tokens` are words."""
        from lexicalrichness import LexicalRichness

        found = Measurement.empty(self.indicators, len(conversations))
        found.reasons = defects(conversations)
        values = found.values[self.indicators[0]]

        def compute(rows: NDArray[np.int64]) -> None:
            for row in rows:
                text = LexicalRichness(assistant_text(conversations[row]))
                found.tokens[row] = text.words
                if text.words < FEWEST_WORDS:
                    found.reasons[row] = f"fewer than {FEWEST_WORDS} words"
                else:
                    values[row] = text.mtld(threshold=THRESHOLD)

        measurable = [row for row, reason in enumerate(found.reasons) if reason is None]
        for_each_batch(np.ones(len(conversations)), 1, compute, found.reasons, measurable)
        return found.explained()

"""Lexical diversity of the responses: MTLD (McCarthy & Jarvis 2010, Behavior Research Methods 42).

The mean length, in words, of stretches that keep a type-token ratio above 0.72; mean of a forward
and a backward pass; higher: more varied. Words and the rest of the last stretch are those of
`lexicalrichness` (lower case, digits and punctuation dropped, split at white space), so a
language written without spaces has too few words to measure.
"""

from functools import lru_cache
from typing import Any

from udfs.running.measurement import Conversation
from udfs.running.text_indicator import TextIndicator, Undefined
from udfs.texts.conversations import assistant_text

THRESHOLD = 0.72
FEWEST_WORDS = 10  # below, implementations disagree and all-distinct words decide the value


class MtldScorer(TextIndicator):
    """Kind `mtld`: MTLD of all assistant turns joined; no weights, no torch."""

    def value(self, conversation: Conversation) -> float | Undefined:
        """Null below 10 words."""
        text = _read(assistant_text(conversation))
        if text.words < FEWEST_WORDS:
            return Undefined(f"fewer than {FEWEST_WORDS} words")
        return float(text.mtld(threshold=THRESHOLD))

    def words(self, conversation: Conversation) -> int:
        """Words as MTLD counts them."""
        return int(_read(assistant_text(conversation)).words)


@lru_cache(maxsize=1)  # a row is asked for its words and for its value; reading costs the most
def _read(text: str) -> Any:
    from lexicalrichness import LexicalRichness

    return LexicalRichness(text)

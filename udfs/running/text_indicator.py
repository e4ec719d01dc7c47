"""The base of indicators that need no model: one number from the text of one conversation."""

from collections.abc import Sequence
from dataclasses import dataclass

from instructmining.models.lists import ModelSpec
from udfs.running.batching import reason
from udfs.running.measurement import Conversation, Measurement, Runtime
from udfs.texts.conversations import assistant_text, defects


@dataclass(frozen=True)
class Undefined:
    """Why a conversation has no value by the indicator's own rule."""

    reason: str


class TextIndicator:
    """A scorer that asks its subclass for one conversation at a time.

    A subclass defines `value`. It is asked only about conversations with an assistant turn that is
    not blank; what it raises becomes the reason of that row alone.
    """

    def __init__(self, spec: ModelSpec, runtime: Runtime):
        self.indicators = spec.indicators

    def value(self, conversation: Conversation) -> float | Undefined:
        """The number of one conversation, or why it has none."""
        raise NotImplementedError

    def words(self, conversation: Conversation) -> int:
        """What is recorded as `tokens`: the words of all assistant turns, split at white space."""
        return len(assistant_text(conversation).split())

    def measure(self, conversations: Sequence[Conversation]) -> Measurement:
        """Measure every conversation; one bad row never costs the others their values."""
        measured = Measurement.empty(self.indicators, len(conversations))
        measured.reasons = defects(conversations)
        for row, conversation in enumerate(conversations):
            if measured.reasons[row] is None:
                self._measure_row(row, conversation, measured)
        return measured.explained()

    def _measure_row(self, row: int, conversation: Conversation, measured: Measurement) -> None:
        try:
            measured.tokens[row] = self.words(conversation)
            value = self.value(conversation)
        except Exception as error:  # whatever the text did to it: the other rows go on
            measured.reasons[row] = reason(error)
            return
        if isinstance(value, Undefined):
            measured.reasons[row] = value.reason
        else:
            measured.values[self.indicators[0]][row] = value

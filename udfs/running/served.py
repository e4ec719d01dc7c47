"""The base of indicators whose model a server holds: one request for each conversation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from instructmining.models.lists import ModelSpec
from instructmining.models.served import Served
from instructmining.served.address import address_of
from instructmining.served.client import Answer, Client, Manner, Spending
from udfs.running.measurement import (
    FAILED,
    NOT_ASKED,
    Conversation,
    Measurement,
    Runtime,
    Work,
)
from udfs.running.text_indicator import Undefined
from udfs.texts.conversations import reply_defects, up_to_last_reply


class ServedScorer:
    """A scorer that asks a server; a subclass says what, and reads the reply.

    A row whose call fails for good has no value and a reason; one that a cap left out has the
    reason `NOT_ASKED`, which is not stored.
    """

    def __init__(self, spec: ModelSpec, runtime: Runtime):
        assert spec.served is not None  # noqa: S101 - a model list without it is refused
        self.indicators = spec.indicators
        self.served: Served = spec.served
        limits = runtime.endpoint
        address = address_of(spec.source, self.served.key_variable, "source", "served.key_variable")
        manner = Manner(
            f"the server of {self.served.model} ({address.url})",
            _hints(self.served, address.url),
            "a reply of another shape than expected",
            limits.concurrency,
            limits.timeout,
            limits.attempts,
            patience=2 * limits.concurrency,
        )
        self.url = address.url + self.path
        if not self.path.startswith("/chat"):  # what is not OpenAI's own is beside /v1
            self.url = address.url.removesuffix("/v1") + self.path
        self.spending = Spending(limits.max_calls, limits.max_tokens)
        self.client = Client(address, manner, self.spending)

    @property
    def path(self) -> str:
        """The path of the call, under the server's URL."""
        raise NotImplementedError

    def body(self, conversation: Conversation) -> dict[str, Any]:
        """What is sent about a conversation up to its last reply."""
        raise NotImplementedError

    def value(self, reply: Any) -> float | Undefined:
        """The number in the server's reply; any error means a reply of another shape."""
        raise NotImplementedError

    def measure(self, conversations: Sequence[Conversation]) -> Measurement:
        """Measure every conversation; one bad row never costs the others their values.

        Raises:
            UserError: the server refuses the key, the model or the path, or is gone.
        """
        measured = Measurement.empty(self.indicators, len(conversations))
        measured.reasons = reply_defects(conversations)
        rows = [row for row, reason in enumerate(measured.reasons) if reason is None]
        bodies = [
            self._with_request(self.body(up_to_last_reply(conversations[row]))) for row in rows
        ]
        before = self.spending.calls, self.spending.tokens
        answers = self.client.ask_all(self.url, bodies, self.value)
        for row, answer in zip(rows, answers, strict=True):
            self._fill(measured, row, answer)
        measured.work = Work(
            retries=sum(answer.repeats for answer in answers),
            asked=self.spending.calls - before[0],
            billed=self.spending.tokens - before[1],
        )
        return measured.explained()

    def _with_request(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body with the fields that the model list adds; null takes one out."""
        whole = {"model": self.served.model, **body, **self.served.request}
        return {name: value for name, value in whole.items() if value is not None}

    def _fill(self, measured: Measurement, row: int, answer: Answer[float | Undefined]) -> None:
        measured.tokens[row] = answer.prompt_tokens
        value = answer.value
        if isinstance(value, Undefined):
            measured.reasons[row] = value.reason
        elif value is not None:
            measured.values[self.indicators[0]][row] = value if np.isfinite(value) else np.nan
        else:
            measured.reasons[row] = NOT_ASKED if answer.capped else f"{FAILED}{answer.reason}"


def _hints(served: Served, url: str) -> dict[int, str]:
    """What is wrong with the model list, where a status says that it is."""
    variable = served.key_variable
    key = f"the key in {variable}" if variable else "served.key_variable, which names no key,"
    return {
        401: f"{key} is not accepted",
        403: f"{key} may not use this model",
        404: f"there is no model {served.model} or no such path under {url}; `source` is the URL "
        "up to /v1",
    }

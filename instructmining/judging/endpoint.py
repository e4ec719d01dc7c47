"""Ask a judge behind an endpoint that speaks OpenAI's chat completions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from instructmining.errors import UserError
from instructmining.served.address import address_of
from instructmining.served.client import Answer, Client, Manner, Spending
from instructmining.settings.learning import Judge

_REPLY_TOKENS = 400  # of the judge
CAP = "judge.max_calls or judge.max_tokens is reached"


@dataclass(frozen=True)
class Reply:
    """What came of one question.

    Attributes:
        text: of the judge; None where there is none.
        tokens: as the endpoint counts them.
        reason: why there is no text: `CAP` where a cap was reached, else the last failure.
        refused: the endpoint refuses this very question (too long, say), and would again.
    """

    text: str | None
    tokens: int = 0
    reason: str | None = None
    refused: bool = False


class JudgeEndpoint:
    """A model that answers chat completions."""

    def __init__(self, judge: Judge):
        """Check the settings before anything is asked.

        Raises:
            UserError: no URL or model, no key in the environment, or a key over plain HTTP.
        """
        if not judge.url or not judge.model:
            raise UserError(
                "--judge endpoint needs --endpoint URL (up to /v1) and --endpoint-model NAME"
            )
        address = address_of(judge.url, judge.key_variable, "--endpoint", "judge.key_variable")
        manner = Manner(
            "the judge's endpoint",
            _hints(judge),
            "NoChatCompletionError",
            judge.concurrency,
            judge.timeout,
            judge.attempts,
        )
        self.judge = judge
        self.url = f"{address.url}/chat/completions"
        self.spending = Spending(judge.max_calls, judge.max_tokens)
        self._client = Client(address, manner, self.spending)

    def ask_all(self, questions: Sequence[tuple[str, str]]) -> list[Reply]:
        """Ask (system, user) questions, several at a time; in the order they came."""
        bodies = [self._body(*question) for question in questions]
        return [_reply(answer) for answer in self._client.ask_all(self.url, bodies, _text)]

    def ask(self, system: str, user: str) -> Reply:
        """One question, with further attempts where the failure may pass.

        Raises:
            UserError: the endpoint refuses the key or the model, or is not there.
        """
        return _reply(self._client.ask(self.url, self._body(system, user), _text))

    def _body(self, system: str, user: str) -> dict[str, Any]:
        return {
            "model": self.judge.model,
            "temperature": 0,
            "max_tokens": _REPLY_TOKENS,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
        }


def _hints(judge: Judge) -> dict[int, str]:
    """What is wrong with the settings, where a status says that they are."""
    return {
        401: f"the key in {judge.key_variable} is not accepted",
        403: f"the key in {judge.key_variable} may not use this model",
        404: f"there is no model {judge.model}, or the URL is not the one up to /v1",
    }


def _text(reply: Any) -> str:
    text = reply["choices"][0]["message"]["content"]
    if not isinstance(text, str):
        raise TypeError
    return text


def _reply(answer: Answer[str]) -> Reply:
    reason = CAP if answer.capped else answer.reason
    return Reply(answer.value, answer.tokens, reason, answer.refused)

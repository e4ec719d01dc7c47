"""Ask a judge behind an endpoint that speaks OpenAI's chat completions; standard library only.

The key comes from an environment variable alone. It is sent in one header, to one host, never over
plain HTTP to another machine, a proxy included, never after a redirect, and stands in no message,
log or table.
"""

import json
import os
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from instructmining.errors import UserError
from instructmining.settings.learning import Judge

_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504, 529)
_LOCAL = ("localhost", "127.0.0.1", "::1")
_REPLY_TOKENS = 400  # of the judge
_LONGEST_WAIT = 60.0  # seconds
_MESSAGE = 200  # characters of what the server says of an error
# What JSON of another shape than expected raises.
_MISSHAPEN = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
CAP = "judge.max_calls or judge.max_tokens is reached"


class NoChatCompletionError(ValueError):
    """The reply is not a chat completion with a text."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another host."""

    def redirect_request(self, *_: Any) -> None:
        """Refuse: the caller sees the 3xx itself."""


@dataclass
class Spending:
    """What was asked so far, against the caps; shared by all threads."""

    max_calls: int
    max_tokens: int
    calls: int = 0
    tokens: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def may_call(self) -> bool:
        """Count one more call if the caps allow it."""
        with self._lock:
            if self.calls >= self.max_calls or self.tokens >= self.max_tokens:
                return False
            self.calls += 1
            return True

    def add(self, tokens: int) -> None:
        """Count the tokens of a reply."""
        with self._lock:
            self.tokens += tokens


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
        try:
            place = urlsplit(judge.url)
            _ = place.port  # read only to have it checked
        except ValueError:  # brackets without their other half; a port that is not a number
            raise UserError("--endpoint is not an http or https URL") from None
        self._key = os.environ.get(judge.key_variable, "")
        if place.scheme not in ("http", "https") or not place.hostname:
            raise UserError("--endpoint is not an http or https URL")
        if place.username or place.password or place.query:
            raise UserError(
                "--endpoint holds a user, password or query: give the key in the "
                f"environment variable {judge.key_variable}"
            )
        local = place.hostname in _LOCAL
        if not self._key and not local:
            raise UserError(
                f"the environment variable {judge.key_variable} holds no key for the "
                "endpoint (judge.key_variable names another)"
            )
        if self._key and place.scheme == "http" and not local:
            raise UserError("--endpoint would get the key over plain http: use https")
        self.judge = judge
        self.url = judge.url.rstrip("/") + "/chat/completions"
        self.spending = Spending(judge.max_calls, judge.max_tokens)
        # Through a proxy https is a tunnel; plain http would be read there, with the key.
        direct = [urllib.request.ProxyHandler({})] if place.scheme == "http" else []
        self._opener = urllib.request.build_opener(_NoRedirect(), *direct)

    def ask_all(self, questions: Sequence[tuple[str, str]]) -> list[Reply]:
        """Ask (system, user) questions, several at a time; in the order they came."""
        with ThreadPoolExecutor(self.judge.concurrency) as threads:
            return list(threads.map(lambda message: self.ask(*message), questions))

    def ask(self, system: str, user: str) -> Reply:
        """One question, with further attempts where the failure may pass.

        Raises:
            UserError: the endpoint refuses the key or the model, or is not there.
        """
        reason = ""
        for attempt in range(self.judge.attempts):
            if not self.spending.may_call():
                return Reply(None, reason=CAP)
            try:
                return self._reply(self._post(system, user))
            except urllib.error.HTTPError as error:
                if hint := self._hint(error.code):
                    raise UserError(
                        f"the judge's endpoint answers HTTP {error.code}: {hint}"
                    ) from None
                if error.code not in _AGAIN:
                    return Reply(None, reason=self._refusal(error), refused=True)
                reason = f"HTTP {error.code}"
                wait = _asked_to_wait(error)
            except (OSError, HTTPException, ValueError) as error:
                # Connections, timeouts and replies that are not a chat completion.
                reason = _kind(error)
                wait = 0.0
            if attempt + 1 < self.judge.attempts:
                time.sleep(min(_LONGEST_WAIT, max(wait, _back_off(attempt))))
        return Reply(None, reason=f"{reason} after {self.judge.attempts} attempts")

    def _post(self, system: str, user: str) -> bytes:
        body = {
            "model": self.judge.model,
            "temperature": 0,
            "max_tokens": _REPLY_TOKENS,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
        }
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            self.url, json.dumps(body).encode(), headers, method="POST"
        )
        with self._opener.open(request, timeout=self.judge.timeout) as response:
            read: bytes = response.read()
        return read

    def _reply(self, body: bytes) -> Reply:
        try:
            reply = json.loads(body)
            tokens = int((reply.get("usage") or {}).get("total_tokens") or 0)
            self.spending.add(tokens)
            text = reply["choices"][0]["message"]["content"]
        except _MISSHAPEN:
            raise NoChatCompletionError from None
        if not isinstance(text, str):
            raise NoChatCompletionError
        return Reply(text, tokens)

    def _hint(self, code: int) -> str | None:
        """What is wrong with the settings, where a status says that they are."""
        hints = {
            401: f"the key in {self.judge.key_variable} is not accepted",
            403: f"the key in {self.judge.key_variable} may not use this model",
            404: f"there is no model {self.judge.model}, or the URL is not the one up to /v1",
        }
        return "redirects are not followed" if code < 400 else hints.get(code)

    def _refusal(self, error: urllib.error.HTTPError) -> str:
        """`HTTP 400: ` and the start of the server's message, without the key."""
        try:
            reply = json.loads(error.read())
            reply = reply.get("error", reply)
            message = " ".join(str(reply["message"]).split())
        except (OSError, HTTPException, *_MISSHAPEN):
            return f"HTTP {error.code}"
        if self._key:
            message = message.replace(self._key, "…")
        return f"HTTP {error.code}: {message[:_MESSAGE]}"


def _kind(error: Exception) -> str:
    """`ConnectionRefusedError`, say, also where urllib has wrapped it."""
    inner = getattr(error, "reason", None)
    return type(inner if isinstance(inner, Exception) else error).__name__


def _back_off(attempt: int) -> float:
    return float(2.0**attempt * random.uniform(0.25, 0.75))  # noqa: S311 - jitter, not a secret


def _asked_to_wait(error: urllib.error.HTTPError) -> float:
    try:
        return float(error.headers.get("Retry-After", 0))
    except ValueError:  # a date: the usual pause will do
        return 0.0

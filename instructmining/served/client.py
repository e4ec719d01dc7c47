"""Calls to a server: JSON by POST over urllib3, side by side, with retries, back-off and caps.

The key is sent in one header, to one host, never after a redirect, and stands in no message, log
or table. Plain HTTP goes past the environment's proxy, which could read it; https goes through it
as a tunnel.
"""

import json
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from instructmining.errors import UserError
from instructmining.served.address import Address

T = TypeVar("T")

_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504, 529)
_LONGEST_WAIT = 60.0  # seconds
_QUIET = 60.0  # seconds without any answer that a restart of the server may take
_MESSAGE = 200  # characters of what the server says of an error
# What JSON of another shape than expected raises.
MISSHAPEN = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)


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
class Answer(Generic[T]):
    """What came of one request.

    Attributes:
        value: what was read from the reply; None where there is none.
        tokens: that the server counted, of all of it.
        prompt_tokens: of what it was given.
        reason: why there is no value.
        capped: a cap was reached before it was answered.
        refused: the server refuses this very request (too long, say), and would again.
        repeats: attempts after the first.
    """

    value: T | None
    tokens: int = 0
    prompt_tokens: int = 0
    reason: str | None = None
    capped: bool = False
    refused: bool = False
    repeats: int = 0


@dataclass(frozen=True)
class Manner:
    """How a server is called.

    Attributes:
        who: begins messages, as in "the judge's endpoint".
        hints: HTTP status to what is wrong with the settings: it ends the run.
        unreadable: what a reply of another shape is called in a reason.
        concurrency: number of calls at the same time.
        timeout: seconds that a call may take.
        attempts: number of attempts for each call.
        patience: requests without an answer, one after another and for a minute or more, that end
            the run; None: none do.
    """

    who: str
    hints: Mapping[int, str]
    unreadable: str
    concurrency: int = 8
    timeout: float = 60.0
    attempts: int = 5
    patience: int | None = None


class Client:
    """Asks one server; safe for several threads."""

    def __init__(self, address: Address, manner: Manner, spending: Spending):
        self.address = address
        self.manner = manner
        self.spending = spending
        self._pool = _pool(address, manner.concurrency)
        self._unanswered = 0
        self._answered = time.monotonic()
        self._over: UserError | None = None

    def ask_all(
        self, url: str, bodies: Sequence[Mapping[str, Any]], read: Callable[[Any], T]
    ) -> list[Answer[T]]:
        """Ask several at a time; answers in the order of the bodies.

        Raises:
            UserError: as `ask`; what was not sent yet is not.
        """
        threads = ThreadPoolExecutor(self.manner.concurrency)
        try:
            return list(threads.map(lambda body: self.ask(url, body, read), bodies))
        finally:
            threads.shutdown(cancel_futures=True)

    def ask(self, url: str, body: Mapping[str, Any], read: Callable[[Any], T]) -> Answer[T]:
        """One request, with further attempts where the failure may pass.

        Args:
            url: of this server.
            body: sent as JSON.
            read: takes what it wants from the reply's JSON; an error means another shape.

        Raises:
            UserError: the server refuses the key or the model, redirects, or is gone.
        """
        reason = ""
        for attempt in range(self.manner.attempts):
            if self._over:
                raise self._over
            if not self.spending.may_call():
                return Answer(None, reason="a cap is reached", capped=True, repeats=attempt)
            wait = 0.0
            try:
                reply = self._post(url, body)
                if reply.status < 300:
                    return self._answer(reply.data, read, attempt)
                self._end_where_it_is_the_settings(reply.status)
                if reply.status not in _AGAIN:
                    self._note_an_answer()
                    return Answer(None, reason=self._refusal(reply), refused=True, repeats=attempt)
                reason = f"HTTP {reply.status}"
                wait = _asked_to_wait(reply)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                reason = _kind(error)
            except _UnreadableError:
                reason = self.manner.unreadable
            if attempt + 1 < self.manner.attempts:
                time.sleep(min(_LONGEST_WAIT, max(wait, _back_off(attempt))))
        reason = f"{reason} after {self.manner.attempts} attempts"
        self._end_where_it_is_gone(reason)
        return Answer(None, reason=reason, repeats=self.manner.attempts - 1)

    def _post(self, url: str, body: Mapping[str, Any]) -> urllib3.BaseHTTPResponse:
        headers = {"Content-Type": "application/json"}
        if self.address.key:
            headers["Authorization"] = f"Bearer {self.address.key}"
        return self._pool.request(
            "POST",
            url,
            body=json.dumps(body).encode(),
            headers=headers,
            redirect=False,
            retries=False,
            timeout=self.manner.timeout,
        )

    def _answer(self, data: bytes, read: Callable[[Any], T], repeats: int) -> Answer[T]:
        try:
            reply = json.loads(data)
            tokens, of_prompt = _usage(reply)
            self.spending.add(tokens)
            value = read(reply)
        except MISSHAPEN:
            raise _UnreadableError from None
        self._note_an_answer()
        return Answer(value, tokens, of_prompt, repeats=repeats)

    def _note_an_answer(self) -> None:
        self._unanswered = 0
        self._answered = time.monotonic()

    def _end_where_it_is_the_settings(self, status: int) -> None:
        hint = "redirects are not followed" if status < 400 else self.manner.hints.get(status)
        if hint:
            self._over = UserError(f"{self.manner.who} answers HTTP {status}: {hint}")
            raise self._over

    def _end_where_it_is_gone(self, reason: str) -> None:
        self._unanswered += 1
        patience = self.manner.patience
        quiet = time.monotonic() - self._answered
        if patience is not None and self._unanswered >= patience and quiet >= _QUIET:
            self._over = UserError(
                f"{self.manner.who} left {self._unanswered} requests in a row without an answer "
                f"({reason}): start it, or correct its URL, and run the same command again"
            )
            raise self._over

    def _refusal(self, reply: urllib3.BaseHTTPResponse) -> str:
        """`HTTP 400: ` and the start of the server's message, without the key."""
        try:
            said = json.loads(reply.data)
            said = said.get("error", said)
            message = " ".join(str(said["message"]).split())
        except MISSHAPEN:
            return f"HTTP {reply.status}"
        if self.address.key:
            message = message.replace(self.address.key, "…")
        return f"HTTP {reply.status}: {message[:_MESSAGE]}"


class _UnreadableError(ValueError):
    """The reply is not of the shape that was asked for."""


def _pool(address: Address, size: int) -> urllib3.PoolManager:
    host = urlsplit(address.url).hostname or ""
    proxy = getproxies().get("https") if address.encrypted and not proxy_bypass(host) else None
    if not proxy:
        return urllib3.PoolManager(maxsize=size)
    auth = urllib3.util.parse_url(proxy).auth
    headers = urllib3.make_headers(proxy_basic_auth=auth) if auth else None
    return urllib3.ProxyManager(proxy, maxsize=size, proxy_headers=headers)


def _usage(reply: Any) -> tuple[int, int]:
    """All tokens and those of the prompt, as OpenAI's `usage` or SGLang's `meta_info` says."""
    first = reply[0] if isinstance(reply, list) else reply
    usage = first.get("usage") or first.get("meta_info") or {}
    of_prompt = int(usage.get("prompt_tokens") or 0)
    return int(usage.get("total_tokens") or of_prompt), of_prompt


def _kind(error: BaseException) -> str:
    """`ConnectionRefusedError`, say, also where urllib3 has wrapped it."""
    inner = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    return type(inner).__name__


def _back_off(attempt: int) -> float:
    return float(2.0**attempt * random.uniform(0.25, 0.75))  # noqa: S311 - jitter, not a secret


def _asked_to_wait(reply: urllib3.BaseHTTPResponse) -> float:
    try:
        return float(reply.headers.get("Retry-After", 0))
    except ValueError:  # a date: the usual pause will do
        return 0.0

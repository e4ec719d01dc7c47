"""The judge's endpoint against a real local server that speaks the protocol, and misspeaks it."""

import json
import time
from collections.abc import Iterator

import pytest
from judge_server import Server, completion, running

from instructmining.errors import UserError
from instructmining.judging.endpoint import CAP, JudgeEndpoint
from instructmining.served import client
from instructmining.settings.learning import Judge

KEY = "sk-very-secret"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(client, "_back_off", lambda attempt: 0.01)
    with running() as server:
        yield server


def endpoint(server: Server, timeout: float = 30, **settings: object) -> JudgeEndpoint:
    """A client that waits for long: a busy machine answers late, and a repeated call counts."""
    judge = Judge(kind="endpoint", url=server.url, model="m", timeout=timeout, **settings)
    return JudgeEndpoint(judge)


def test_it_speaks_the_protocol(server: Server) -> None:
    server.replies = [completion("[[A]]", 42)]
    reply = endpoint(server).ask("be fair", "which? 哪个?")
    assert (reply.text, reply.tokens) == ("[[A]]", 42)
    path, headers, body = server.seen[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body["model"] == "m"
    assert [m["role"] for m in body["messages"]] == ["system", "user"]
    assert body["messages"][1]["content"] == "which? 哪个?"


def test_it_tries_again_after_failures_that_pass(server: Server) -> None:
    server.replies = [
        (429, "slow down", {"Retry-After": "0"}),
        (500, "oops", {}),
        (200, "{not json", {}),
        (200, '{"choices": []}', {}),
        completion("[[B]]"),
    ]
    assert endpoint(server).ask("s", "u").text == "[[B]]"
    assert len(server.seen) == 5


def test_it_waits_as_long_as_it_is_asked_to(server: Server) -> None:
    server.replies = [(429, "", {"Retry-After": "0.4"}), completion("[[C]]")]
    started = time.monotonic()
    assert endpoint(server).ask("s", "u").text == "[[C]]"
    assert time.monotonic() - started >= 0.4


def test_a_slow_endpoint_runs_into_the_timeout(server: Server) -> None:
    server.replies, server.delay = [completion("[[A]]")], 0.9
    reply = endpoint(server, timeout=0.5, attempts=2).ask("s", "u")
    assert reply.text is None
    assert reply.reason == "TimeoutError after 2 attempts"


def test_an_endpoint_that_keeps_failing_gives_no_verdict_and_says_why(server: Server) -> None:
    server.replies = [(503, "", {})]
    assert endpoint(server, attempts=3).ask("s", "u").reason == "HTTP 503 after 3 attempts"
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "null",
        '"x"',
        '{"usage": [1], "choices": []}',
        '{"usage": {"total_tokens": Infinity}}',
        '{"choices": [{"message": {"content": null}}]}',
        "[" * 100_000,
        "",
        "{not json",
    ],
)
def test_a_reply_of_any_other_shape_is_unreadable_with_a_reason(server: Server, body: str) -> None:
    server.replies = [(200, body, {})]
    reply = endpoint(server, attempts=2).ask("s", "u")
    assert reply.text is None
    assert reply.reason == "NoChatCompletionError after 2 attempts"


def test_an_endpoint_that_is_down_is_named_by_what_happened(server: Server) -> None:
    far = Judge(kind="endpoint", url="http://127.0.0.1:9/v1", model="m", attempts=1)
    assert JudgeEndpoint(far).ask("s", "u").reason == "ConnectionRefusedError after 1 attempts"


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_question_ends_nothing_and_is_not_asked_again(
    server: Server, status: int
) -> None:
    said = {"error": {"message": f"too  long,\n{KEY}: " + "x" * 500}}
    server.replies = [(status, json.dumps(said), {}), completion("[[A]]")]
    refused, judged = endpoint(server, concurrency=1).ask_all([("s", "long"), ("s", "short")])
    assert (refused.text, refused.refused, judged.text) == (None, True, "[[A]]")
    assert refused.reason.startswith(f"HTTP {status}: too long, …: xxx")
    assert len(refused.reason) < 250
    assert len(server.seen) == 2


@pytest.mark.parametrize("body", ["", "<html>", "[]", '{"error": "no"}', '{"detail": [1]}'])
def test_a_refusal_without_a_message_is_its_status(server: Server, body: str) -> None:
    server.replies = [(400, body, {})]
    assert endpoint(server).ask("s", "u").reason == "HTTP 400"


def test_plain_http_goes_past_the_environments_proxy(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.replies = [completion("[[A]]")]
    with running() as proxy:
        proxy.replies = [completion("[[B]]")]
        monkeypatch.setenv("http_proxy", proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert endpoint(server).ask("s", "u").text == "[[A]]"
        assert proxy.seen == []


def test_https_goes_through_the_environments_proxy_as_a_tunnel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running() as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        far = Judge(url="https://judge.example/v1", model="m", attempts=1, timeout=2)
        assert JudgeEndpoint(far).ask("s", "u").text is None
        assert [path for path, _, _ in proxy.seen] == ["judge.example:443"]
        assert KEY not in str(proxy.seen)


@pytest.mark.parametrize(("status", "words"), [(401, "is not accepted"), (404, "no model m")])
def test_a_refusal_stops_at_once_in_a_sentence_without_the_key(
    server: Server, status: int, words: str
) -> None:
    server.replies = [(status, f"bad key {KEY}", {})]
    with pytest.raises(UserError, match=words) as caught:
        endpoint(server).ask("s", "u")
    assert KEY not in str(caught.value)
    assert len(server.seen) == 1


def test_a_redirect_is_not_followed_with_the_key(server: Server) -> None:
    server.replies = [(302, "", {"Location": f"{server.url}/elsewhere"})]
    with pytest.raises(UserError, match="redirects are not followed"):
        endpoint(server).ask("s", "u")
    assert len(server.seen) == 1


def test_calls_are_capped_retries_included(server: Server) -> None:
    server.replies = [(500, "", {}), completion("[[A]]")]
    judge = endpoint(server, max_calls=3, concurrency=1)
    replies = judge.ask_all([("s", str(i)) for i in range(4)])
    assert [reply.text for reply in replies] == ["[[A]]", "[[A]]", None, None]
    assert replies[3].reason == CAP
    assert len(server.seen) == 3


def test_tokens_are_capped(server: Server) -> None:
    server.replies = [completion("[[A]]", 60)]
    judge = endpoint(server, max_tokens=100, concurrency=1)
    texts = [reply.text for reply in judge.ask_all([("s", str(i)) for i in range(4)])]
    assert texts == ["[[A]]", "[[A]]", None, None]


def test_questions_are_asked_side_by_side_and_answered_in_order(server: Server) -> None:
    server.replies, server.delay = [completion("[[A]]")], 0.15
    replies = endpoint(server, concurrency=4).ask_all([("s", str(i)) for i in range(8)])
    assert len(replies) == 8
    assert 2 <= server.most_at_once <= 4
    assert sorted(body["messages"][1]["content"] for _, _, body in server.seen) == [*"01234567"]


def test_what_cannot_work_is_refused_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    far = "https://judge.example/v1"
    with pytest.raises(UserError, match="holds no key"):
        JudgeEndpoint(Judge(url=far, model="m"))
    with pytest.raises(UserError, match="--endpoint-model"):
        JudgeEndpoint(Judge(url=far))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(UserError, match="over plain http"):
        JudgeEndpoint(Judge(url="http://judge.example/v1", model="m"))
    with pytest.raises(UserError, match="user, password or query") as caught:
        JudgeEndpoint(Judge(url="https://me:hidden@judge.example/v1", model="m"))
    assert "hidden" not in str(caught.value)
    for wrong in ("ftp://judge.example", "http://[::1/v1", "http://localhost:port/v1"):
        with pytest.raises(UserError, match="not an http or https"):
            JudgeEndpoint(Judge(url=wrong, model="m"))


def test_a_local_endpoint_needs_no_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    server.replies = [completion("[[A]]")]
    assert endpoint(server).ask("s", "u").text == "[[A]]"
    assert "Authorization" not in server.seen[0][1]

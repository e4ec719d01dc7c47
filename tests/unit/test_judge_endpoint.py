"""The judge's endpoint against a real local server that speaks the protocol, and misspeaks it."""

import time
from collections.abc import Iterator

import pytest
from judge_server import Server, completion, running

from instructmining import judge_endpoint
from instructmining.errors import UserError
from instructmining.judge_endpoint import JudgeEndpoint
from instructmining.settings import Judge

KEY = "sk-very-secret"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(judge_endpoint, "_back_off", lambda attempt: 0.01)
    with running() as server:
        yield server


def endpoint(server: Server, **settings: object) -> JudgeEndpoint:
    return JudgeEndpoint(Judge(kind="endpoint", url=server.url, model="m", timeout=0.5, **settings))


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
    server.replies = [(429, "slow down", {"Retry-After": "0"}), (500, "oops", {}),
                      (200, "{not json", {}), (200, '{"choices": []}', {}),
                      completion("[[B]]")]  # fmt: skip
    assert endpoint(server).ask("s", "u").text == "[[B]]"
    assert len(server.seen) == 5


def test_it_waits_as_long_as_it_is_asked_to(server: Server) -> None:
    server.replies = [(429, "", {"Retry-After": "0.4"}), completion("[[C]]")]
    started = time.monotonic()
    assert endpoint(server).ask("s", "u").text == "[[C]]"
    assert time.monotonic() - started >= 0.4


def test_a_slow_endpoint_runs_into_the_timeout(server: Server) -> None:
    server.replies, server.delay = [completion("[[A]]")], 0.9
    reply = endpoint(server, attempts=2).ask("s", "u")
    assert reply.text is None
    assert reply.reason == "TimeoutError after 2 attempts"


def test_an_endpoint_that_keeps_failing_gives_no_verdict_and_says_why(server: Server) -> None:
    server.replies = [(503, "", {})]
    assert endpoint(server, attempts=3).ask("s", "u").reason == "HTTP 503 after 3 attempts"
    assert len(server.seen) == 3


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
    assert replies[3].reason == "cap"
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
    with pytest.raises(UserError, match="no http or https"):
        JudgeEndpoint(Judge(url="ftp://judge.example", model="m"))


def test_a_local_endpoint_needs_no_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    server.replies = [completion("[[A]]")]
    assert endpoint(server).ask("s", "u").text == "[[A]]"
    assert "Authorization" not in server.seen[0][1]

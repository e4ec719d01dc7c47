"""A real local HTTP server that speaks OpenAI's chat completions, and misspeaks them on demand."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Raw = tuple[int, str, dict[str, str]]  # status, body, headers


class Server(ThreadingHTTPServer):
    """Answers by a list of replies, the last one forever; remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies: list[Raw | Callable[[dict], Raw]] = []
        self.seen: list[tuple[str, dict[str, str], dict]] = []
        self.delay, self.at_once, self.most_at_once = 0.0, 0, 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.seen.append((self.path, dict(self.headers), body))
            replies = self.server.replies
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
            status, text, headers = reply(body) if callable(reply) else reply
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        time.sleep(self.server.delay)
        with self.server.lock:
            self.server.at_once -= 1
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST

    def do_CONNECT(self) -> None:
        """As a proxy that was asked for a tunnel, and refuses it."""
        self.server.seen.append((self.path, dict(self.headers), {}))
        self.send_error(403)

    def log_message(self, *_: object) -> None:
        pass


def completion(text: str, tokens: int = 10) -> Raw:
    said = {
        "choices": [{"message": {"role": "assistant", "content": text}}],
        "usage": {"total_tokens": tokens},
    }
    return 200, json.dumps(said), {}


@contextmanager
def running() -> Iterator[Server]:
    """A server in a thread of its own, until the block ends."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

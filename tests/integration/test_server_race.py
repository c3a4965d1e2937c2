"""Two hundred calls at once to a remote engine, which are really made together: none passes a budget."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.serving import Server

ANSWER = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
}
BODY = {"model": "far", "max_tokens": 20, "messages": [{"role": "user", "content": "Is it?"}]}


class Slow(BaseHTTPRequestHandler):
    """Answers after a while, so that calls are in hand together."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(0.3)
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    target = f'engine = "openai_chat", model = "m", params = {{ base_url = "http://127.0.0.1:{upstream.server_port}/v1" }}'
    made = Server(
        tmp_path / "state", config=f'queue = 300\n[[models]]\nname = "far"\ntargets = [{{ {target} }}]\n'
    )
    yield made
    assert made.stop() == 0
    upstream.shutdown()
    upstream.server_close()


def tokens(server: Server) -> tuple[int, int]:
    """What is reserved and what is spent."""
    with server.client() as admin:
        rows = admin.get("/v1/budgets").json()["data"]
    row = next(row for row in rows if row["unit"] == "token")
    return int(float(row["reserved"])), int(float(row["spent"]))


def story(server: Server) -> list[dict[str, Any]]:
    """All entries about the account, the newest first."""
    with server.client() as admin:
        found = admin.get("/v1/audit", params={"subject": "account/project:narrow", "last": 1000}).json()[
            "data"
        ]
    return sorted(found, key=lambda entry: -entry["n"])


def test_two_hundred_at_once_never_pass_a_budget(server: Server) -> None:
    secret = server.make_key("spender", charge=["project:narrow"])

    def ask(_: int) -> int:
        with server.client(secret) as client:
            return client.post("/v1/chat/completions", json=BODY).status_code

    with ThreadPoolExecutor(40) as pool:
        assert {*pool.map(ask, range(20))} == {200}  # without a limit all pass
    assert tokens(server) == (0, 200)
    with server.client() as admin:
        entries = admin.get("/v1/audit", params={"subject": "account/project:narrow", "last": 40}).json()[
            "data"
        ]
        ceiling = max(entry["cost"].get("token", 0) for entry in entries) // 1_000_000
        assert ceiling > 40
        # Room for three at a time, and, as each leaves ten of what it had reserved, for no more than so many in all.
        limit = 200 + 3 * ceiling
        admin.put("/v1/budgets/project:narrow", json={"unit": "token", "limit": limit}).raise_for_status()
    with ThreadPoolExecutor(40) as pool:
        statuses = [*pool.map(ask, range(200))]
    assert set(statuses) == {200, 402}
    reserved, spent = tokens(server)
    passed = statuses.count(200)
    assert (reserved, spent) == (0, 200 + 10 * passed)
    assert passed >= 3
    held = most = 0  # calls in hand, as the record tells it
    for entry in reversed(story(server)):
        held += {"budget:amount:reserved": 1, "budget:amount:settled": -1}.get(entry["act"], 0)
        most = most if entry["act"] == "budget:account:set" else max(most, held)
        if entry["act"] == "budget:account:set":
            assert held == 0 and most > 3  # as many as came, while there was no limit
            most = 0
    assert 1 < most <= 3

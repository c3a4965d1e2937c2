"""What a route may say about its targets: hedging, going on after a break, sharing and caching within a tenant."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.serving import Server

CUT = '{"title": "A quiet ke'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
CONFIG = """
[at_once]
echo = 8

[[models]]
name = "hedged"
hedge = 0.2
targets = [
  { engine = "openai_chat", model = "mute", params = { base_url = "http://127.0.0.1:%(port)d/v1" } },
  { engine = "echo", params = { text = "quick" }, weight = 0.0 },
]

[[models]]
name = "continued"
continues = true
retries = 0
targets = [
  { engine = "openai_chat", model = "breaks", params = { base_url = "http://127.0.0.1:%(port)d/v1", retries = 0 } },
  { engine = "echo", params = { text = "said by another" }, weight = 0.0 },
]

[[models]]
name = "brief"
targets = [{ engine = "openai_chat", model = "cut", params = { base_url = "http://127.0.0.1:%(port)d/v1" } }]

[[models]]
name = "shared"
share = true
targets = [{ engine = "echo", params = { text = "a b c d e", delay = 0.1 } }]

[[models]]
name = "cached"
cache = true
targets = [{ engine = "echo" }]
"""


class Upstream:
    """A chat server that never answers for one model, breaks off in the middle for another, and cuts a third."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.gone = threading.Event()  # a client that waited in vain has gone
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer: socket.socket) -> None:
        with peer:
            got = b""
            while b'"messages"' not in got:
                got += peer.recv(1 << 16)
            if b'"breaks"' in got:
                chunk = json.dumps({"choices": [{"index": 0, "delta": {"content": "half a"}}]})
                peer.sendall(HEAD + f"data: {chunk}\n\n".encode())
                return
            if b'"cut"' in got:
                logs = {
                    "content": [
                        {"token": CUT, "logprob": -0.5, "top_logprobs": [{"token": "x", "logprob": -1.5}]}
                    ]
                }
                choice = {"index": 0, "delta": {"content": CUT}, "logprobs": logs, "finish_reason": "length"}
                usage = {"prompt_tokens": 9, "completion_tokens": 4}
                chunk = json.dumps({"choices": [choice], "usage": usage})
                if b'"stream":true' in got:
                    peer.sendall(HEAD + f"data: {chunk}\n\n".encode())
                else:
                    peer.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(chunk), chunk.encode())
                    )
                return
            while peer.recv(1 << 16):
                pass
            self.gone.set()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.listener.close()


@pytest.fixture(scope="module")
def server(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("targets"), config=CONFIG % {"port": upstream.port})
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log()


def body(model: str, words: str = "hello", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": words}], **more}


def acts(server: Server, call: str) -> list[str]:
    """What the record says about a call, without its accounts."""
    with server.client() as client:
        found = client.get("/v1/audit", params={"subject": f"run/{call}", "last": 100}).json()["data"]
    return [entry["act"].rpartition(":")[2] for entry in found]


def test_a_second_target_is_asked_when_the_first_says_nothing_and_the_first_is_stopped_and_billed(
    server: Server, upstream: Upstream
) -> None:
    key = server.make_key("hedger", charge=["project:hedged"])
    with server.client(key) as client:
        answer = client.post("/v1/chat/completions", json=body("hedged"))
    assert answer.status_code == 200, answer.text
    assert "quick" in answer.json()["choices"][0]["message"]["content"]
    winner = answer.headers["x-bottega-run-id"]
    assert winner.endswith("-2") and acts(server, winner) == ["leased", "finished"]
    loser = winner.removesuffix("-2")
    assert upstream.gone.wait(20), "its connection was closed"
    until = time.monotonic() + 20
    while acts(server, loser) != ["leased", "stopped"]:
        assert time.monotonic() < until, "it stands in the record too"
        time.sleep(0.1)
    with server.client() as client:
        rows = client.get("/v1/budgets").json()["data"]
    mine = {row["unit"]: row for row in rows if row["account"] == "project:hedged"}
    assert {row["reserved"] for row in mine.values()} == {"0"}, mine
    assert float(mine["token"]["spent"]) > 0, "what the other party may have billed is paid"


def test_a_broken_stream_goes_on_elsewhere_and_says_so(server: Server) -> None:
    with server.client() as client:
        answer = client.post("/v1/chat/completions", json=body("continued", stream=True))
    chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    assert text.startswith("half a") and text.endswith("said by another") and "cut off" in text
    [told] = [chunk["bottega"]["continued"] for chunk in chunks if "bottega" in chunk]
    assert told[0]["after_characters"] == len("half a") and told[0]["broke"] == "openai_chat"
    assert answer.text.endswith("data: [DONE]\n\n")
    run = answer.headers["x-bottega-run-id"]
    assert acts(server, run) == ["leased", "failed", "leased", "finished"]


def test_a_json_answer_that_max_tokens_cut_is_given_as_far_as_it_goes(server: Server) -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    with server.client() as client:
        asked = body("brief", max_tokens=4, response_format=form)
        answer = client.post("/v1/chat/completions", json=asked)
        assert answer.status_code == 200, answer.text
        choice = answer.json()["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == (CUT, "length")
        lines = client.post("/v1/chat/completions", json={**asked, "stream": True}).text.split("\n\n")
        chunks = [json.loads(line[6:])["choices"][0] for line in lines[:-2]]
        assert "".join(chunk["delta"].get("content") or "" for chunk in chunks) == CUT
        assert chunks[-1]["finish_reason"] == "length"
        whole = {
            "model": "brief",
            "input": "x",
            "text": {"format": {"type": "json_schema", "schema": schema}},
        }
        made = client.post("/v1/responses", json=whole).json()
    assert (made["status"], made["output"][0]["content"][0]["text"]) == ("incomplete", CUT)


def test_an_answer_that_is_given_again_has_its_logprobs(server: Server) -> None:
    head = {"Idempotency-Key": "logs"}
    asked = body("brief", max_tokens=4, logprobs=True, top_logprobs=1)
    with server.client() as client:
        first, second = (client.post("/v1/chat/completions", json=asked, headers=head) for _ in range(2))
        assert first.headers["x-bottega-run-id"] == second.headers["x-bottega-run-id"]
        (log,) = second.json()["choices"][0]["logprobs"]["content"]
        assert first.json()["choices"] == second.json()["choices"]
        assert (log["token"], log["logprob"], log["top_logprobs"][0]["token"]) == (CUT, -0.5, "x")
        head = {"Idempotency-Key": "streamed logs"}
        texts = [
            client.post("/v1/chat/completions", json={**asked, "stream": True}, headers=head).text
            for _ in "12"
        ]
    said = [[json.loads(line[6:])["choices"] for line in text.split("\n\n")[:-2]] for text in texts]
    assert said[0] == said[1] and said[1][1][0]["logprobs"]["content"][0]["logprob"] == -0.5


def test_equal_requests_in_flight_are_made_once_within_a_tenant_and_not_across(server: Server) -> None:
    keys = [server.make_key("first")] * 4 + [server.make_key("second")]

    def one(key: str) -> tuple[str, str]:
        with server.client(key) as client:
            answer = client.post("/v1/chat/completions", json=body("shared"))
            assert answer.status_code == 200, answer.text
            return answer.headers["x-bottega-run-id"], answer.json()["choices"][0]["message"]["content"]

    with ThreadPoolExecutor(5) as pool:
        answers = [*pool.map(one, keys)]
    assert len({text for _, text in answers}) == 1
    ended = Counter(acts(server, run)[-1] for run, _ in answers[:4])
    assert ended["finished"] >= 1 and ended["reused"] >= 1 and ended.total() == 4, ended
    assert acts(server, answers[4][0])[-1] == "finished", "another tenant's is not taken over"
    assert acts(server, one(keys[0])[0])[-1] == "finished", "what is over is not shared"


def test_a_cache_is_a_tenants_and_by_content(server: Server) -> None:
    mine, other = server.make_key("mine"), server.make_key("other")

    def one(key: str, words: str) -> str:
        with server.client(key) as client:
            answer = client.post("/v1/chat/completions", json=body("cached", words))
            assert words in answer.json()["choices"][0]["message"]["content"]
            return acts(server, answer.headers["x-bottega-run-id"])[-1]

    assert [one(mine, "one"), one(mine, "one"), one(mine, "two")] == ["finished", "reused", "finished"]
    assert [one(other, "one"), one(other, "one")] == ["finished", "reused"]

"""The HTTP API, asked by the clients that people use."""

import base64
import io
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import httpx
import numpy as np
import openai
import pytest
from PIL import Image
from tests.serving import Server

HELLO: Any = [{"role": "user", "content": "hello out there"}]
SLOW = """
[[models]]
name = "slow"
targets = [{ engine = "echo", params = { text = "a b c d e f g h i j k l m n o p q r s t", delay = 0.2 } }]

[[models]]
name = "broken"
retries = 0
targets = [{ engine = "echo", params = { fail = "the engine broke" } }]

[[models]]
name = "rescued"
retries = 0
targets = [{ engine = "echo", params = { fail = "the engine broke" } }, { engine = "echo", weight = 0.0 }]

[[models]]
name = "hasty"
timeout = 0.3
targets = [{ engine = "echo", params = { text = "a b c d e f", delay = 0.2 } }]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"), config=SLOW, environment={"BOTTEGA_THREADS": "1"})
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log() and made.key not in made.log()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as made:
        yield made


def test_chat_by_the_official_client(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="echo", messages=HELLO)
    assert whole.choices[0].message.content == "hello out there"
    assert whole.usage is not None and whole.usage.completion_tokens == 3
    chunks = [*client.chat.completions.create(
        model="echo", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )]  # fmt: skip
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "hello out there"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 3 and not chunks[-1].choices


def test_each_event_is_one_write_and_the_stream_says_that_it_is_done(server: Server) -> None:
    with server.client() as client:
        body = {"model": "echo", "messages": HELLO, "stream": True}
        with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["x-bottega-run-id"].startswith("call-")
            assert float(answer.headers["x-bottega-overhead-ms"]) >= 0
            text = answer.read().decode()
    events = text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""] and all(event.startswith("data: ") for event in events[:-1])


def test_responses_by_the_official_client(client: openai.OpenAI) -> None:
    first = client.responses.create(model="echo", input="one two")
    assert (first.output_text, first.status) == ("one two", "completed")
    events = [*client.responses.create(model="echo", input="one two", stream=True)]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created" and events[-1].type == "response.completed"
    second = client.responses.create(model="echo", input="three", previous_response_id=first.id)
    items = client.responses.input_items.list(second.id)
    assert [item.to_dict()["content"][0]["text"] for item in items] == ["one two", "one two", "three"]  # type: ignore[index]
    later = client.responses.create(model="slow", input="x", background=True)
    assert later.status == "in_progress"
    assert client.responses.cancel(later.id).status == "cancelled"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_none")


def test_anthropics_client(server: Server) -> None:
    with anthropic.Anthropic(base_url=server.url, api_key=server.key, max_retries=0) as client:
        said: Any = [{"role": "user", "content": "well met"}]
        whole = client.messages.create(model="echo", max_tokens=9, messages=said)
        assert whole.content[0].to_dict()["text"] == "well met" and whole.stop_reason == "end_turn"
        with client.messages.stream(model="echo", max_tokens=9, messages=said) as stream:
            assert "".join(stream.text_stream) == "well met"
        with pytest.raises(anthropic.NotFoundError) as refusal:
            client.messages.create(model="nobody", max_tokens=9, messages=said)
        assert refusal.value.response.json()["type"] == "error"


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/v1/chat/completions", {"model": "nobody", "messages": HELLO}, 404, "model"),
        ("/v1/chat/completions", {"model": "echo"}, 400, "messages"),
        ("/v1/chat/completions", {"model": "echo", "messages": []}, 400, "messages"),
        ("/v1/chat/completions", {"model": "echo", "messages": [{"role": 1}]}, 400, "messages[0].role"),
        ("/v1/chat/completions", {"model": "echo", "messages": HELLO, "temperature": 9}, 400, "temperature"),
        ("/v1/chat/completions", {"model": "echo", "messages": HELLO, "n": 2}, 400, "n"),
        ("/v1/images/generations", {"prompt": "x", "size": "9x9"}, 400, "size"),
        ("/v1/images/generations", {"prompt": "x", "size": "4096x4096"}, 413, "size"),
        ("/v1/audio/speech", {"model": "speech", "input": " "}, 400, "input"),
        ("/v1/embeddings", {"model": "echo", "input": "x"}, 404, "model"),
        ("/v1/embeddings", {"model": "potion-base-8m", "input": []}, 400, "input"),
        ("/v1/runs", {}, 422, "plan"),
        ("/v1/budgets/project:x", {"unit": "token", "limit": -1}, 400, "amount"),
        ("/v1/nothing", {}, 404, "path"),
        ("/v1/models", {}, 405, "method"),
    ],
)
def test_a_mistake_names_the_field(server: Server, path: str, body: Any, status: int, param: str) -> None:
    with server.client() as client:
        method = "PUT" if "/budgets/" in path else "POST"
        answer = client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_what_is_no_json_is_refused(server: Server) -> None:
    with server.client() as client:
        for body in (b"", b"{", b"[1]", b"\xff", b"[" * 100_000, b'{"model": "echo", "messages": NaN}'):
            answer = client.post("/v1/chat/completions", content=body)
            assert answer.status_code == 400 and answer.json()["error"]["message"], body[:20]
        large = client.post("/v1/chat/completions", content=b"x" * (9 << 20))
        assert large.status_code == 413
        form = client.post(
            "/v1/files", content=b"x", headers={"content-type": "multipart/form-data; boundary=b"}
        )
        assert form.status_code == 400


def test_a_failed_engine_and_a_broken_stream(client: openai.OpenAI, server: Server) -> None:
    with pytest.raises(openai.InternalServerError, match="the engine broke"):
        client.chat.completions.create(model="broken", messages=HELLO)
    with pytest.raises(openai.InternalServerError, match="the engine broke"):
        client.chat.completions.create(model="broken", messages=HELLO, stream=True)
    for _ in range(3):
        rescued = client.chat.completions.create(model="rescued", messages=HELLO)
        assert rescued.choices[0].message.content == "hello out there"
    with pytest.raises(openai.APIError, match=r"within 0\.3 s"):
        client.chat.completions.create(model="hasty", messages=HELLO)
    with pytest.raises(openai.APIError, match=r"within 0\.3 s"):  # told in the stream: the status was sent
        list(client.chat.completions.create(model="hasty", messages=HELLO, stream=True))


@pytest.mark.parametrize(("model", "stream", "status"), [("slow", True, 200), ("hasty", False, 502)])
def test_the_time_of_an_engine_is_no_overhead(server: Server, model: str, stream: bool, status: int) -> None:
    with server.client() as client:
        body = {"model": model, "messages": HELLO, "stream": stream}
        began = time.monotonic()
        with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            waited = (time.monotonic() - began) * 1000  # ms
    assert answer.status_code == status and waited > 200
    assert float(answer.headers["x-bottega-overhead-ms"]) < waited - 180


def test_a_client_that_goes_away_stops_the_engine_and_pays_for_the_part_that_was_made(server: Server) -> None:
    secret = server.make_key("leaver", charge=["project:leavers"])
    with server.client() as admin, server.client(secret) as client:
        body = {"model": "slow", "messages": HELLO, "stream": True}
        with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            call = answer.headers["x-bottega-run-id"]
            next(answer.iter_lines())
        until = time.monotonic() + 20
        acts: list[str] = []
        while "pipeline:step:stopped" not in acts and time.monotonic() < until:
            found = admin.get("/v1/audit", params={"subject": f"run/{call}", "last": "9"}).json()["data"]
            acts = [entry["act"] for entry in found]
            time.sleep(0.05)
        rows = admin.get("/v1/budgets").json()["data"]
    assert [act for act in acts if act.startswith("pipeline")] == [
        "pipeline:step:leased",
        "pipeline:step:stopped",
    ]
    row = next(r for r in rows if (r["account"], r["unit"]) == ("project:leavers", "word"))
    assert float(row["reserved"]) == 0 and 1 <= float(row["spent"]) < 20  # of the 22 that it would have said


def one_word(server: Server, secret: str) -> None:
    """A limit is only taken in a unit that was counted before."""
    with server.client(secret) as client:
        body = {"model": "echo", "messages": [{"role": "user", "content": "w"}]}
        client.post("/v1/chat/completions", json=body).raise_for_status()


def test_two_hundred_at_once_never_pass_a_budget(server: Server) -> None:
    """Each reserves 439 words and says 20: there is room for one at a time, and for two in all."""
    secret = server.make_key("spender", charge=["project:narrow"])
    one_word(server, secret)
    with server.client() as client:
        client.put("/v1/budgets/project:narrow", json={"unit": "word", "limit": 471}).raise_for_status()
    statuses: list[int] = []

    def ask(number: int) -> int:
        with server.client(secret) as client:
            body = {"model": "echo", "messages": [{"role": "user", "content": " ".join(["w"] * 20)}]}
            return client.post("/v1/chat/completions", json=body).status_code

    with ThreadPoolExecutor(40) as pool:
        statuses = [*pool.map(ask, range(200))]
    assert set(statuses) <= {200, 402, 429}
    with server.client() as client:
        rows = client.get("/v1/budgets").json()["data"]
    row = next(r for r in rows if (r["account"], r["unit"]) == ("project:narrow", "word"))
    passed = statuses.count(200)
    assert 1 <= passed <= 2 and (float(row["reserved"]), float(row["spent"])) == (0, 1 + 20 * passed)


def test_a_budget_that_is_used_up_refuses_with_the_reason(server: Server) -> None:
    secret = server.make_key("poor", charge=["project:empty"])
    with server.client() as admin, server.client(secret) as client:
        admin.put("/v1/budgets/project:empty", json={"unit": "compute_second", "limit": 0.000001})
        answer = client.post("/v1/chat/completions", json={"model": "echo", "messages": HELLO})
        assert answer.status_code == 402 and answer.json()["error"]["code"] == "insufficient_quota"
        assert "project:empty" in answer.json()["error"]["message"]


def test_a_limit_by_the_hour_says_when_to_return(server: Server) -> None:
    secret = server.make_key("hasty", charge=["key:hasty"])
    one_word(server, secret)
    with server.client() as admin, server.client(secret) as client:
        limit = {"unit": "word", "limit": 419, "period": "hour"}
        admin.put("/v1/budgets/key:hasty", json=limit).raise_for_status()
        body = {"model": "echo", "messages": [{"role": "user", "content": "w w w w w w w"}]}
        assert client.post("/v1/chat/completions", json=body).status_code == 200
        late = client.post("/v1/chat/completions", json=body)
        assert late.status_code == 429 and late.json()["error"]["code"] == "rate_limit_exceeded"
        assert 1 <= int(late.headers["retry-after"]) <= 3600


def test_an_idempotency_key_gives_the_same_answer_once(server: Server) -> None:
    with server.client() as client:
        head = {"Idempotency-Key": "once"}
        body = {"model": "echo", "messages": HELLO}
        answers = [client.post("/v1/chat/completions", json=body, headers=head) for _ in range(2)]
        assert {answer.headers["x-bottega-run-id"] for answer in answers} == {
            answers[0].headers["x-bottega-run-id"]
        }
        assert {answer.json()["choices"][0]["message"]["content"] for answer in answers} == {
            "hello out there"
        }
        streamed = client.post("/v1/chat/completions", json={**body, "stream": True}, headers=head)
        assert '"content":"hello out there"' in streamed.text
        other = {"model": "echo", "messages": [{"role": "user", "content": "other"}]}
        clash = client.post("/v1/chat/completions", json=other, headers=head)
        assert clash.status_code == 409 and clash.json()["error"]["code"] == "idempotency_key_reused"
        with server.client(server.make_key("another")) as stranger:  # keys of other callers are others
            fresh = stranger.post("/v1/chat/completions", json=other, headers=head)
            assert fresh.status_code == 200
        call = answers[0].headers["x-bottega-run-id"]
        entries = client.get("/v1/audit", params={"subject": f"run/{call}"}).json()["data"]
        assert [entry["act"] for entry in entries].count("pipeline:step:finished") == 1


def test_a_brief_over_http_is_delivered_signed_and_its_events_can_be_taken_up(
    server: Server, tmp_path: Path
) -> None:
    with server.client() as client:
        sent = client.post(
            "/v1/files", files={"file": ("facts.md", b"# Rill\n\nThe kettle holds 1.2 litres.\n")}
        )
        brief: dict[str, Any] = {
            "goal": "say it",
            "sources": [sent.json()["id"]],
            "steps": [{"id": "say", "engine": "compose", "params": {"template": "# Ready\n\nIt is ready.\n"},
                       "port": "text", "path": "ready.md"}],
        }  # fmt: skip
        plan = client.post("/v1/briefs", json=brief).json()
        assert client.post("/v1/plans", json=plan).json()["identity"] == plan["identity"]
        run = client.post("/v1/runs", json={"plan": plan}).json()
        with client.stream("GET", f"/v1/runs/{run['id']}/events") as answer:
            events = [*answer.iter_lines()]
        ids = [int(line[4:]) for line in events if line.startswith("id: ")]
        assert "event: pipeline:run:released" in events and ids == sorted(set(ids))
        with client.stream(
            "GET", f"/v1/runs/{run['id']}/events", headers={"Last-Event-ID": str(ids[-2])}
        ) as answer:
            again = [int(line[4:]) for line in answer.iter_lines() if line.startswith("id: ")]
        assert again == ids[-1:]
        found = client.get(f"/v1/runs/{run['id']}").json()
        assert found["state"] == "released"
        assert {"ready.md", "index.html", "manifest.json"} <= {each["path"] for each in found["files"]}
        ready = client.get(f"/v1/runs/{run['id']}/files/ready.md")
        assert ready.text == "# Ready\n\nIt is ready.\n"
        (artifact,) = (made for step in found["steps"] for made in step["outputs"])
        assert client.get(f"/v1/artifacts/{artifact['artifact']['sha256']}").content == ready.content
        assert client.get(f"/v1/runs/{run['id']}/files/../../record-key").status_code == 404
        assert client.get(f"/v1/runs/{run['id']}/files/%2e%2e%2fserver.log").status_code == 404


def test_what_is_another_tenants_is_not_there(server: Server) -> None:
    owner, stranger = (server.make_key(name) for name in ("owner", "stranger"))
    with server.client(owner) as client:
        file = client.post("/v1/files", files={"file": ("a.txt", b"secret words")}).json()["id"]
        response = client.post("/v1/responses", json={"model": "echo", "input": "mine"}).json()["id"]
        plan = client.post("/v1/briefs", json={
            "goal": "mine alone", "sources": [file],
            "steps": [{"id": "s", "engine": "compose", "params": {"template": "Mine alone.\n"}, "path": "s.md"}],
        }).json()  # fmt: skip
        run = client.post("/v1/runs", json={"plan": plan}).json()["id"]
        with client.stream("GET", f"/v1/runs/{run}/events") as answer:
            answer.read()
        sha = client.get(f"/v1/runs/{run}").json()["steps"][0]["outputs"][0]["artifact"]["sha256"]
    paths = [
        f"/v1/files/{file}", f"/v1/files/{file}/content", f"/v1/responses/{response}", f"/v1/runs/{run}",
        f"/v1/runs/{run}/events", f"/v1/runs/{run}/files/s.md", f"/v1/artifacts/{sha}",
    ]  # fmt: skip
    with server.client(owner) as mine, server.client(stranger) as theirs:
        for path in paths:
            assert mine.get(path).status_code == 200, path
            answer = theirs.get(path)
            nobody = theirs.get(re.sub(r"(file|resp|run)([-_])[\w-]+|[0-9a-f]{64}", r"\1\2none", path))
            assert answer.status_code == nobody.status_code == 404, path
        assert theirs.delete(f"/v1/files/{file}").status_code == 404
        assert theirs.post(f"/v1/runs/{run}/cancel").status_code == 404
        assert run not in theirs.get("/v1/runs").text and file not in theirs.get("/v1/files").text
    with server.client() as admin:
        assert admin.get(f"/v1/runs/{run}").status_code == 200
        assert admin.get(f"/v1/files/{file}").status_code == 404  # files are their owner's alone


def test_keys_expire_and_are_exchanged_without_a_pause(server: Server) -> None:
    old, new = server.make_key("app"), server.make_key("app")
    with server.client() as admin:
        rows = [row for row in admin.get("/v1/keys").json()["data"] if row["name"] == "app"]
        assert len(rows) == 2 and "secret" not in rows[0]
        for secret in (old, new):
            with server.client(secret) as client:
                assert client.get("/v1/models").status_code == 200
        admin.delete(f"/v1/keys/{rows[0]['id']}").raise_for_status()
        until = time.monotonic() + 10
        with server.client(old) as client:
            while client.get("/v1/models").status_code != 401:
                assert time.monotonic() < until
                time.sleep(0.1)
            assert "revoked" in client.get("/v1/models").json()["error"]["message"]
        with server.client(new) as client:
            assert client.get("/v1/models").status_code == 200
    for secret in ("", "btg_" + "x" * 43, "Basic abc"):
        with server.client(secret) as client:
            answer = client.get("/v1/models")
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    journal = b"".join(path.read_bytes() for path in server.state.glob("bottega.sqlite*"))
    assert old.encode() not in journal and new.encode() not in journal


def test_abrupt_and_slow_clients_harm_nobody(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\n"
    body = json.dumps({"model": "slow", "messages": HELLO, "stream": True})
    whole = f"{head}Content-Length: {len(body)}\r\n\r\n{body}"
    crawling: list[socket.socket] = []
    for end in (3, len(head), len(whole) - 5, len(whole)):
        for _ in range(5):
            with socket.create_connection((host, int(port))) as peer:
                peer.sendall(whole[:end].encode())
        crawling.append(socket.create_connection((host, int(port))))
        crawling[-1].sendall(whole[: max(end - 9, 1)].encode())
    with server.client() as client:
        assert client.get("/v1/models").status_code == 200
        until = time.monotonic() + 30
        while 'bottega_calls_inside{engine="echo"} 0.0' not in client.get("/metrics").text:
            assert time.monotonic() < until, client.get("/metrics").text
            time.sleep(0.1)
    for peer in crawling:
        peer.close()


@pytest.mark.parametrize("coding", ["jpeg", "webp"])
def test_a_picture_in_another_coding_is_signed_as_well(server: Server, coding: str) -> None:
    asked = {"prompt": "A quiet kettle", "size": "256x256", "seed": 1, "output_format": coding}
    with server.client() as client:
        made = client.post("/v1/images/generations", json=asked)
        picture = base64.b64decode(made.json()["data"][0]["b64_json"])
        with Image.open(io.BytesIO(picture)) as opened:
            assert opened.format == coding.upper() and opened.size == (256, 256)
        check = client.post("/v1/content_provenance_checks", files={"file": (f"a.{coding}", picture)}).json()
        assert check["results"][0]["validation_state"] == "trusted"
        assert check["results"][0]["run"] == made.headers["x-bottega-run-id"]


def test_a_provenance_check_tells_a_signed_picture_from_an_altered_one(server: Server) -> None:
    with server.client() as client:
        made = client.post(
            "/v1/images/generations", json={"prompt": "A quiet kettle", "size": "256x256", "seed": 1}
        )
        assert made.status_code == 200, made.text
        picture = base64.b64decode(made.json()["data"][0]["b64_json"])
        check = client.post("/v1/content_provenance_checks", files={"file": ("a.png", picture)}).json()
        assert check["results"][0]["validation_state"] == "trusted"
        assert check["results"][0]["run"] == made.headers["x-bottega-run-id"]
        altered = bytearray(picture)
        altered[-60] ^= 1
        check = client.post("/v1/content_provenance_checks", files={"file": ("a.png", bytes(altered))}).json()
        assert check["results"][0]["validation_state"] == "invalid"


def pixels(sent: str | None) -> Any:
    with Image.open(io.BytesIO(base64.b64decode(sent or ""))) as picture:
        return np.asarray(picture)


def test_a_stream_of_pictures_has_an_event_for_each(client: openai.OpenAI) -> None:
    asked: Any = {"prompt": "A quiet kettle", "size": "256x256", "n": 2, "extra_body": {"seed": 1}}
    make: Any = client.images.generate
    whole, streamed = make(**asked), [*make(**asked, stream=True, partial_images=1)]
    assert [each.type for each in streamed] == ["image_generation.completed"] * 2
    assert all(each.size == "256x256" and each.output_format == "png" for each in streamed)
    one, two = (pixels(each.b64_json) for each in streamed)
    assert np.any(one != two)
    np.testing.assert_array_equal(one, pixels(whole.data[0].b64_json))
    np.testing.assert_array_equal(two, pixels(whole.data[1].b64_json))
    with pytest.raises(openai.BadRequestError):  # before the first event an error is a status
        make(prompt="x", size="9x9", stream=True)


@pytest.mark.weights("text-icon")
@pytest.mark.weights("icon-pair")
def test_a_plain_thing_is_drawn_and_a_word_that_is_not_known_is_the_callers_mistake(server: Server) -> None:
    with server.client() as client:
        asked = {"prompt": "a solid umbrella", "size": "64x64", "seed": 1}
        made = client.post("/v1/images/generations", json=asked)
        assert made.status_code == 200, made.text
        assert made.json()["data"][0]["revised_prompt"] == "solid umbrella"
        for _ in range(4):  # as often as a target may fail before it is left alone
            unknown = client.post(
                "/v1/images/generations", json={"model": "pictogram", "prompt": "a zeppelin"}
            )
            assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "prompt")
        assert client.post("/v1/images/generations", json={**asked, "model": "pictogram"}).status_code == 200


def test_embeddings_by_the_official_client(client: openai.OpenAI, server: Server) -> None:
    texts = ["a kettle for tea", "boiling water for tea", "a motorway at night"]
    one, two, three = (
        row.embedding for row in client.embeddings.create(model="potion-base-8m", input=texts).data
    )
    near = sum(a * b for a, b in zip(one, two, strict=True))
    far = sum(a * b for a, b in zip(one, three, strict=True))
    assert near > far and abs(sum(a * a for a in one) - 1) < 1e-3
    with server.client() as http:
        body = {"model": "potion-base-8m", "query": "tea", "documents": texts, "top_n": 2}
        again = {"Idempotency-Key": "ranked"}
        ranked, same = (http.post("/v1/rerank", json=body, headers=again).json()["results"] for _ in range(2))
        assert ranked == same
        assert {each["index"] for each in ranked} == {0, 1}


def test_tools_of_a_real_model_fit_their_schema(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    tools: Any = [
        {
            "type": "function",
            "function": {"name": "weather", "description": "of a city", "parameters": schema},
        }
    ]
    asked: Any = {
        "model": "small", "messages": [{"role": "user", "content": "What is the weather in Rome?"}], "tools": tools,
        "tool_choice": "required", "max_tokens": 60,
    }  # fmt: skip
    create: Any = client.chat.completions.create
    (call,) = create(**asked).to_dict()["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "weather"
    assert json.loads(call["function"]["arguments"])["city"] in ("Paris", "Rome")
    chunks = [*create(**asked, stream=True)]
    assert any(c.choices and c.choices[0].delta.tool_calls for c in chunks)
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_guards_refuse_what_goes_in_and_cut_what_comes_out(tmp_path: Path) -> None:
    config = """
[guard]
window = 20
input = { personal_data = {} }
output = { profanity = {} }

[[models]]
name = "rude"
targets = [{ engine = "echo", params = { text = "It was a fine day and then all that was heard from him was shit and nothing more for a while." } }]
"""
    server = Server(tmp_path / "state", config=config)
    try:
        with server.client() as client:
            leak = [{"role": "user", "content": "my card is 4111 1111 1111 1111"}]
            answer = client.post("/v1/chat/completions", json={"model": "echo", "messages": leak})
            assert answer.status_code == 403 and answer.json()["error"]["param"] == "input"
            assert "4111 1111" not in answer.text
            for path, body in (
                ("/v1/tokenize", {"model": "small", "prompt": leak[0]["content"]}),
                ("/v1/tokenize", {"model": "small", "messages": leak}),
                ("/v1/images/generations", {"prompt": leak[0]["content"]}),
                ("/v1/collections/none/ask", {"question": leak[0]["content"]}),
                ("/v1/briefs", {"goal": leak[0]["content"]}),
            ):
                answer = client.post(path, json=body)
                assert answer.status_code == 403 and answer.json()["error"]["param"] == "input", path
            answer = client.post("/v1/chat/completions", json={"model": "rude", "messages": HELLO})
            assert answer.status_code == 403 and answer.json()["error"]["param"] == "output"
            body = {"model": "rude", "messages": HELLO, "stream": True}
            text = client.post("/v1/chat/completions", json=body).text
            assert (
                "fine" in text
                and "shit" not in text
                and '"error"' in text
                and text.endswith("data: [DONE]\n\n")
            )
            fine = client.post(
                "/v1/chat/completions", json={"model": "echo", "messages": HELLO, "stream": True}
            ).text
            assert " there" in fine and '"error"' not in fine
    finally:
        assert server.stop() == 0


def test_a_queue_that_is_full_says_when_to_return(tmp_path: Path) -> None:
    server = Server(tmp_path / "state", config="queue = 1\nrequests_per_minute = 40\n" + SLOW)
    try:

        def ask(number: int) -> httpx.Response:
            with server.client() as client:
                return client.post("/v1/chat/completions", json={"model": "slow", "messages": HELLO})

        with ThreadPoolExecutor(6) as pool:
            answers = [*pool.map(ask, range(6))]
        late = [answer for answer in answers if answer.status_code == 429]
        assert 3 <= len(late) <= 5 and all(int(answer.headers["retry-after"]) >= 1 for answer in late)
        assert all(answer.status_code == 200 for answer in answers if answer not in late)
        with server.client() as client:
            statuses = [client.get("/v1/models").status_code for _ in range(60)]
            assert 429 in statuses and statuses[0] == 200
    finally:
        assert server.stop() == 0


def test_the_more_urgent_key_goes_first_and_who_cannot_wait_is_told_at_once(tmp_path: Path) -> None:
    short = SLOW.replace("a b c d e f g h i j k l m n o p q r s t", "a b c d e f g h i j")
    server = Server(tmp_path / "state", config='urgency = { "desk-*" = 1 }\n' + short)
    desk = server.make_key("desk-1")
    order: list[str] = []

    def ask(name: str, secret: str = "", **headers: str) -> httpx.Response:
        with server.client(secret) if secret else server.client() as client:
            body = {"model": "slow", "messages": HELLO}
            answer = client.post("/v1/chat/completions", json=body, headers=headers)
        order.append(name)
        return answer

    try:
        with ThreadPoolExecutor(5) as pool:
            calls: list[Future[httpx.Response]] = []
            for name, secret, said in (
                ("first", "", {}),
                ("greedy", "", {"priority": "u=0"}),  # a key of the usual level stays on it
                ("patient", "", {"priority": "u=6, i"}),
                ("desk", desk, {}),
            ):
                calls.append(pool.submit(ask, name, secret, **said))
                time.sleep(0.15)
            hurried = ask("hurried", Prefer="respond-async, wait=1")
            assert hurried.status_code == 429 and "in time" in hurried.json()["error"]["message"]
            assert int(hurried.headers["retry-after"]) >= 1
            assert [call.result().status_code for call in calls] == [200] * 4
        assert order == ["hurried", "first", "desk", "greedy", "patient"]
        ask("alone", Prefer="wait=0").json()["error"]["message"].index("within 0 s")
    finally:
        assert server.stop() == 0


def test_a_killed_server_leaves_a_record_that_holds_and_budgets_that_add_up(tmp_path: Path) -> None:
    state = tmp_path / "state"
    server = Server(state, config=SLOW)
    secret = server.make_key("app", charge=["project:p"])

    def ask() -> None:
        try:
            with server.client(secret) as client:
                client.post("/v1/chat/completions", json={"model": "slow", "messages": HELLO})
        except httpx.HTTPError:
            pass  # it is killed meanwhile

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    server.kill()
    for thread in threads:
        thread.join()
    again = Server(state, config=SLOW)
    try:
        assert again.key == ""  # there are keys
        with again.client(server.key) as client:
            assert (
                client.post("/v1/chat/completions", json={"model": "echo", "messages": HELLO}).status_code
                == 200
            )
            rows = client.get("/v1/budgets").json()["data"]
            assert all(float(row["reserved"]) == 0 for row in rows), rows
            assert client.get("/v1/audit/checkpoint").status_code == 200
    finally:
        assert again.stop() == 0

"""Batches, films, changed pictures and tokens, asked by OpenAI's client where it has them."""

import base64
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from tests.serving import Server

CONFIG = """
[[models]]
name = "slow"
targets = [{ engine = "echo", params = { text = "a b c d e f", delay = 0.1 } }]
"""
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"), config=CONFIG)
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log(), made.log()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as made:
        yield made


def line(name: str, said: str, model: str = "echo", **more: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": said}], **more}
    return {"custom_id": name, "method": "POST", "url": CHAT, "body": body}


def jsonl(lines: list[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(each).encode() for each in lines)


def until(done: Callable[[], Any], seconds: float = 120.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def given(http: httpx.Client, lines: list[dict[str, Any]], endpoint: str = CHAT) -> Any:
    file = http.post(
        "/v1/files", files={"file": ("calls.jsonl", jsonl(lines))}, data={"purpose": "batch"}
    ).json()
    answer = http.post("/v1/batches", json={"input_file_id": file["id"], "endpoint": endpoint})
    assert answer.status_code == 200, answer.text
    return answer.json()


def ended(http: httpx.Client, batch: Any, *states: str) -> Any:
    def done() -> Any:
        found = http.get(f"/v1/batches/{batch['id']}").json()
        return (
            found if found["status"] in (states or ("completed", "failed", "expired", "cancelled")) else None
        )

    return until(done)


def results(http: httpx.Client, file_id: str) -> dict[str, Any]:
    text = http.get(f"/v1/files/{file_id}/content").text
    return {(told := json.loads(each))["custom_id"]: told for each in text.splitlines()}


def test_a_batch_by_the_official_client(client: openai.OpenAI) -> None:
    lines = [line("one", "first words"), line("two", "x", model="nobody"), line("three", "y", stream=True)]
    file = client.files.create(file=("calls.jsonl", jsonl(lines)), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint=CHAT, completion_window="24h", metadata={"of": "tests"}
    )
    assert (batch.object, batch.metadata) == ("batch", {"of": "tests"})
    batch = until(lambda: b if (b := client.batches.retrieve(batch.id)).status == "completed" else None)
    counts = batch.request_counts
    assert counts is not None and (counts.total, counts.completed, counts.failed) == (3, 1, 2)
    assert batch.output_file_id and batch.error_file_id
    (good,) = (json.loads(each) for each in client.files.content(batch.output_file_id).text.splitlines())
    assert good["custom_id"] == "one" and good["response"]["status_code"] == 200
    assert good["response"]["body"]["choices"][0]["message"]["content"] == "first words"
    bad = {
        (b := json.loads(each))["custom_id"]: b
        for each in client.files.content(batch.error_file_id).text.splitlines()
    }
    assert bad["two"]["response"]["body"]["error"]["param"] == "model"
    assert bad["three"]["response"]["body"]["error"]["param"] == "body.stream"
    assert batch.id in {each.id for each in client.batches.list(limit=5)}


def test_a_batch_that_is_asked_for_twice_under_one_key_is_one(server: Server) -> None:
    line: dict[str, Any] = {
        "custom_id": "a",
        "method": "POST",
        "url": CHAT,
        "body": {"model": "echo", "messages": []},
    }
    with server.client() as http:
        sent = {"file": ("lines.jsonl", json.dumps(line).encode())}
        file = http.post("/v1/files", files=sent, data={"purpose": "batch"}).json()["id"]
        asked = {"input_file_id": file, "endpoint": CHAT}
        first, again = (
            http.post("/v1/batches", json=asked, headers={"Idempotency-Key": "mine"}) for _ in range(2)
        )
        assert first.status_code == again.status_code == 200 and first.json()["id"] == again.json()["id"]
        other = {**asked, "endpoint": "/v1/embeddings"}
        refused = http.post("/v1/batches", json=other, headers={"Idempotency-Key": "mine"})
        assert refused.status_code == 409 and refused.json()["error"]["code"] == "idempotency_key_reused"
        assert http.post("/v1/batches", json=asked).json()["id"] != first.json()["id"]


def test_every_line_is_governed_as_a_call_is(server: Server) -> None:
    secret = server.make_key("poor-batch", charge=["project:batches"])
    with server.client() as admin:
        admin.put(
            "/v1/budgets/project:batches", json={"unit": "compute_second", "limit": 0.000001}
        ).raise_for_status()
    with server.client(secret) as http, server.client(server.make_key("stranger-to-batches")) as stranger:
        batch = given(http, [line("one", "too dear")])
        found = ended(http, batch)
        assert found["request_counts"] == {"total": 1, "completed": 0, "failed": 1}
        assert results(http, found["error_file_id"])["one"]["response"]["status_code"] == 402
        for path in (f"/v1/batches/{batch['id']}", f"/v1/files/{found['error_file_id']}"):
            theirs = stranger.get(path)
            nobody = stranger.get(f"{path.rpartition('/')[0]}/{'batch' if 'batch' in path else 'file'}_none")
            assert theirs.status_code == nobody.status_code == 404
        assert stranger.post(f"/v1/batches/{batch['id']}/cancel").status_code == 404
        assert batch["id"] not in stranger.get("/v1/batches").text


@pytest.mark.parametrize(
    ("text", "line_number", "words"),
    [
        (b"{", 1, "JSON"), (b"[]", 1, "object"), (b'{"custom_id": 3}', 1, "custom_id"),
        (jsonl([line("a", "x"), line("a", "y")]), 2, "twice"),
        (jsonl([{**line("a", "x"), "url": "/v1/embeddings"}]), 1, "url"), (b"\n", None, "no lines"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_worked_on_says_which_line(
    server: Server, text: bytes, line_number: int | None, words: str
) -> None:
    with server.client() as http:
        file = http.post("/v1/files", files={"file": ("calls.jsonl", text)}, data={"purpose": "batch"}).json()
        batch = http.post("/v1/batches", json={"input_file_id": file["id"], "endpoint": CHAT}).json()
        found = ended(http, batch)
    (fault,) = found["errors"]["data"]
    assert found["status"] == "failed" and fault["line"] == line_number and words in fault["message"]


def test_a_batch_is_cancelled_and_keeps_what_was_made(server: Server) -> None:
    with server.client() as http:
        batch = given(http, [line(f"n{n}", "x", model="slow") for n in range(40)])
        until(lambda: ended(http, batch, "in_progress")["request_counts"]["completed"] > 0)
        answer = http.post(f"/v1/batches/{batch['id']}/cancel").json()
        assert answer["status"] == "cancelling"
        found = ended(http, batch)
        counts = found["request_counts"]
        assert (
            found["status"] == "cancelled"
            and 0 < counts["completed"] < 40 == counts["completed"] + counts["failed"]
        )
        assert len(results(http, found["output_file_id"])) == counts["completed"]
        assert {each["error"]["code"] for each in results(http, found["error_file_id"]).values()} == {
            "batch_cancelled"
        }


def test_a_killed_server_goes_on_with_a_batch_and_makes_no_line_twice(tmp_path: Path) -> None:
    server = Server(tmp_path / "state", config=CONFIG)
    secret = server.make_key("app")
    lines = [line(f"n{n}", f"word{n}", model="slow") for n in range(12)]
    with server.client(secret) as http:
        batch = given(http, lines)
        until(lambda: ended(http, batch, "in_progress")["request_counts"]["completed"] >= 2)
    server.kill()
    again = Server(tmp_path / "state", config=CONFIG)
    try:
        with again.client(secret) as http, again.client(server.key) as admin:
            found = ended(http, batch)
            assert found["request_counts"] == {"total": 12, "completed": 12, "failed": 0}
            made = results(http, found["output_file_id"])
            assert set(made) == {f"n{n}" for n in range(12)}
            assert (
                len([f for f in http.get("/v1/files").json()["data"] if f["purpose"] == "batch_output"]) == 1
            )
            for each in made.values():
                subject = f"run/{each['response']['request_id']}"
                acts = [e["act"] for e in admin.get("/v1/audit", params={"subject": subject}).json()["data"]]
                assert acts.count("pipeline:step:finished") == 1, acts
    finally:
        assert again.stop() == 0


def test_a_batch_of_another_modality(server: Server) -> None:
    body = {"prompt": "A quiet kettle", "size": "256x256", "seed": 3}
    lines = [{"custom_id": "p", "method": "POST", "url": "/v1/images/generations", "body": body}]
    with server.client() as http:
        found = ended(http, given(http, lines, "/v1/images/generations"))
        (told,) = results(http, found["output_file_id"]).values()
    assert base64.b64decode(told["response"]["body"]["data"][0]["b64_json"]).startswith(b"\x89PNG")


@pytest.mark.parametrize("model", ["small", "standard"])
def test_tokens_are_those_that_the_model_reads(server: Server, model: str) -> None:
    text = "It's 12345.67€, naïve café 東京 😀\n\n\tx = 3"
    with server.client() as http:
        found = http.post(
            "/v1/tokenize", json={"model": model, "prompt": text, "return_token_strs": True}
        ).json()
        assert (
            found["count"] == len(found["tokens"]) == len(found["token_strs"])
            and found["max_model_len"] > 1000
        )
        back = http.post("/v1/detokenize", json={"model": model, "tokens": found["tokens"]}).json()
        assert back == {"prompt": text}
        wrong = http.post("/v1/detokenize", json={"model": model, "tokens": [10**9]})
        assert wrong.status_code == 400 and "has no token" in wrong.text


def test_a_conversation_has_as_many_tokens_as_the_engine_counts(server: Server) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Was kostet das Café in 東京?"},
    ]
    with server.client() as http:
        counted = http.post("/v1/tokenize", json={"model": "small", "messages": messages}).json()["count"]
        said = http.post(CHAT, json={"model": "small", "messages": messages, "max_tokens": 1}).json()
        assert said["usage"]["prompt_tokens"] == counted
        for body in ({"model": "small"}, {"model": "echo", "prompt": "x"}):
            assert http.post("/v1/tokenize", json=body).status_code in (400, 404)


def test_words_are_set_over_a_picture_and_what_cannot_be_done_is_named(
    server: Server, client: openai.OpenAI
) -> None:
    answer = client.images.edit(image=("p.png", picture("teal")), prompt="A quiet kettle", size="512x512")
    assert answer.data is not None and answer.data[0].b64_json is not None
    made = base64.b64decode(answer.data[0].b64_json)
    with server.client() as http:
        check = http.post("/v1/content_provenance_checks", files={"file": ("a.png", made)}).json()
        assert check["results"][0]["validation_state"] == "trusted"
        parts: dict[str, Any] = {"image": ("p.png", picture("teal"))}
        redrawn = http.post("/v1/images/edits", files=parts, data={"prompt": "x", "model": "echo"})
        assert redrawn.status_code == 404 and "layout" in redrawn.text
        masked = http.post(
            "/v1/images/edits", files={**parts, "mask": ("m.png", picture("white"))}, data={"prompt": "x"}
        )
        assert (masked.status_code, masked.json()["error"]["param"]) == (400, "mask")
        broken = http.post(
            "/v1/images/edits", files={"image": ("p.png", b"no picture")}, data={"prompt": "x"}
        )
        assert (broken.status_code, broken.json()["error"]["param"]) == (400, "image")


@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")  # the shape outlives its first server
def test_a_film_of_pictures_and_a_text(server: Server, client: openai.OpenAI) -> None:
    films: Any = client.videos
    with server.client() as http, server.client(server.make_key("no-film")) as stranger:
        files = [
            ("input_reference", ("a.png", picture("navy"))),
            ("input_reference", ("b.jpg", picture("olive", "JPEG"))),
        ]
        answer = http.post("/v1/videos", files=files, data={"prompt": "The kettle is on.", "size": "320x240"})
        assert answer.status_code == 200, answer.text
        film = answer.json()
        assert (film["object"], film["size"]) == ("video", "320x240")
        done: Any = until(
            lambda: f if (f := films.retrieve(film["id"])).status in ("completed", "failed") else None
        )
        assert done.status == "completed" and done.progress == 100, done
        data = films.download_content(film["id"]).read()
        assert data[4:8] == b"ftyp"
        check = http.post("/v1/content_provenance_checks", files={"file": ("v.mp4", data)}).json()
        assert check["results"][0]["validation_state"] == "trusted"
        assert film["id"] in {each.id for each in films.list()}
        assert stranger.get(f"/v1/videos/{film['id']}").status_code == 404
        for wrong in (
            {"prompt": "a film", "seconds": "4"},
            {"prompt": "a film", "size": "321x240"},
            {"prompt": " "},
        ):
            assert http.post("/v1/videos", json=wrong).status_code == 400
        assert films.delete(film["id"]).deleted
        assert http.get(f"/v1/videos/{film['id']}").status_code == 404
        assert film["id"] not in http.get("/v1/videos").text


def picture(colour: str, form: str = "PNG") -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(out, form)
    return out.getvalue()

"""One idempotency key, one answer: also of what is no call to an engine, and after the server was killed."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from tests.serving import Server

FACTS = b"# Rill\n\nThe Rill kettle holds 1.2 litres.\n"
RUDE: dict[str, Any] = {"goal": "say it rudely", "steps": [{
    "id": "say", "engine": "compose", "params": {"template": "The shit kettle is ready.\n"}, "path": "s.md",
    "checks": {"profanity": {}},
}]}  # fmt: skip


def sent(client: httpx.Client, name: str, data: bytes, key: str) -> httpx.Response:
    return client.post("/v1/files", files={"file": (name, data)}, headers={"Idempotency-Key": key})


def again(client: httpx.Client, path: str, body: Any, other: Any, key: str) -> Any:
    """The one answer of two equal requests; another one under their key is refused."""
    head = {"Idempotency-Key": key}
    first, second = (client.post(path, json=body, headers=head) for _ in range(2))
    assert first.status_code in (200, 201) and second.status_code == first.status_code, first.text
    assert second.content == first.content
    refused = client.post(path, json=other, headers=head)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "idempotency_key_reused"), (
        refused.text
    )
    return first.json()


def waiting(client: httpx.Client) -> Any:
    """A review, once there is one."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if found := client.get("/v1/reviews").json()["data"]:
            return found[0]
        time.sleep(0.1)
    raise AssertionError("nothing waits for a person")


def test_uploads_keys_decisions_and_questions(tmp_path: Path) -> None:
    server = Server(tmp_path)
    secret = server.key
    with server.client() as client:
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(sent, client, "facts.md", FACTS, "file") for _ in range(4)]
            several = [each.result().json()["id"] for each in asked]
        assert len({*several}) == 1 and len(client.get("/v1/files").json()["data"]) == 1
        key = again(client, "/v1/keys", {"name": "shop"}, {"name": "shop", "role": "admin"}, "key")
        with server.client(key["secret"]) as shop:
            assert shop.get("/v1/models").status_code == 200
        documents = "/v1/collections/talk/documents"
        again(client, documents, {"files": several[:1], "embedder": "none"}, {"files": several}, "index")
        question = {"question": "Who painted the Mona Lisa in the Louvre?", "session": "one", "fresh": True}
        again(client, "/v1/collections/talk/ask", question, {**question, "session": "two"}, "ask")
        turns = client.get("/v1/collections/talk/sessions/one").json()["turns"]
        assert len(turns) == 1
        assert client.post("/v1/runs", json={"brief": {**RUDE, "sources": several[:1]}}).status_code == 201
        review = waiting(client)
        assert client.get(f"/v1/reviews/{review['id']}").json() == review
        place = f"/v1/reviews/{review['id']}/decision"
        decision = {"outcome": "reject", "why": "not in our name"}
        decided = again(client, place, decision, {"outcome": "approve"}, "decision")
    server.kill()
    server = Server(tmp_path)
    with server.client(secret) as client:
        assert sent(client, "facts.md", FACTS, "file").json()["id"] == several[0]
        for name, data in (("facts.md", FACTS + b"!"), ("other.md", FACTS)):
            assert sent(client, name, data, "file").status_code == 409
        head = {"Idempotency-Key": "key"}
        refused = client.post("/v1/keys", json={"name": "shop"}, headers=head)
        assert refused.status_code == 409 and key["id"] in refused.json()["error"]["message"]
        assert sum(each["name"] == "shop" for each in client.get("/v1/keys").json()["data"]) == 1
        head = {"Idempotency-Key": "decision"}
        assert client.post(place, json=decision, headers=head).json() == decided
        for act in ("resume", "cancel"):
            assert client.post(f"/v1/runs/{decided['run']}/{act}").status_code == 200
        assert client.delete("/v1/collections/talk/sessions/one").json()["turns"] == 1
        assert client.delete("/v1/collections/talk").json()["deleted"]
    assert server.stop() == 0
    assert "Traceback" not in server.log()

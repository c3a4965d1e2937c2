"""Indexing over HTTP goes on in the server: its progress is read, searches are answered meanwhile, a killed server takes it up."""

import json
import time
from pathlib import Path

import httpx
from tests.serving import Server

TEXT = "\n\n".join(f"# Part {n}\n\n" + f"The heron number {n} waits by the river. " * 12 for n in range(150))


def begin(client: httpx.Client, **asked: object) -> str:
    answer = client.post("/v1/collections/birds/documents", json={**asked, "background": True})
    assert answer.status_code == 202, answer.text
    begun = answer.json()
    assert begun["state"] == "running" and begun["report"] is None
    return f"/v1/collections/birds/indexings/{begun['id']}"


def found(client: httpx.Client) -> list[tuple[str, float]]:
    body = {"query": "heron number 7", "method": "vectors", "top": 5}
    answer = client.post("/v1/collections/birds/search", json=body)
    assert answer.status_code == 200, answer.text
    return [(hit["passage"]["heading"], hit["score"]) for hit in answer.json()["data"]]


def embedder(client: httpx.Client) -> str:
    return client.get("/v1/collections").json()["data"][0]["embedder"]


def test_progress_is_told_and_a_killed_server_goes_on_with_another_embedder(tmp_path: Path) -> None:
    server = Server(tmp_path)
    stranger = server.make_key("stranger", "admin")
    with server.client() as client, server.client(stranger) as other:
        sent = client.post("/v1/files", files={"file": ("birds.md", TEXT.encode())}).json()["id"]
        place = begin(client, files=[sent], embedder="potion-base-8m")
        events = client.get(f"{place}/events").text
        assert "event: progress\n" in events and 'event: state\ndata: {"state":"done"}' in events
        told = client.get(place).json()
        assert told["state"] == "done" and told["report"]["documents"][0]["outcome"] == "indexed"
        last = max(int(line[4:]) for line in events.splitlines() if line.startswith("id: "))
        again = client.get(f"{place}/events", headers={"last-event-id": str(last)}).text
        assert "progress" not in again and "state" in again
        assert other.get(place).status_code == other.get(f"{place}/events").status_code == 404
        before = found(client)

        wrong = begin(client, files=[sent], labels=["no label"])
        assert '{"state":"failed"}' in client.get(f"{wrong}/events").text
        refused = client.get(wrong)
        assert refused.status_code == 400 and "no label" in refused.json()["error"]["message"]

        place = begin(client, embedder="arctic-embed-s")
        with client.stream("GET", f"{place}/events") as answer:
            for line in answer.iter_lines():
                if line.startswith("data: ") and json.loads(line[6:]).get("done", 0) > 0:
                    break
            assert found(client) == before and embedder(client) == "potion-base-8m"
        server.kill()
    again = Server(tmp_path)
    try:
        with again.client(server.key) as client:
            assert found(client) == before or embedder(client) == "arctic-embed-s"
            until = time.monotonic() + 300
            while embedder(client) != "arctic-embed-s":
                assert time.monotonic() < until, again.log()
                time.sleep(0.2)
            after = found(client)
            assert len(after) == 5 and after != before
            assert client.get(place).status_code == 404, "the process that knew it is gone"
    finally:
        assert again.stop() == 0
    assert "Traceback" not in again.log()


def test_stopped_it_can_be_asked_for_again_and_a_removal_does_not_wait(tmp_path: Path) -> None:
    server = Server(tmp_path)
    with server.client() as client:
        sent = [
            client.post("/v1/files", files={"file": (name, text.encode())}).json()["id"]
            for name, text in (("birds.md", TEXT), ("kettle.md", "The kettle is green."))
        ]
        client.post("/v1/collections/birds/documents", json={"files": sent[1:]}).raise_for_status()
        place = begin(client, files=sent[:1])
        with client.stream("GET", f"{place}/events") as answer:
            assert next(line for line in answer.iter_lines() if line.startswith("data: "))
            removed = client.delete("/v1/collections/birds/documents/kettle.md").json()
            assert [each["outcome"] for each in removed["documents"]] == ["removed"]
            assert client.get(place).json()["state"] == "running", "the removal did not wait for it"
            assert found(client) == []
            client.post(f"{place}/cancel").raise_for_status()
        assert '{"state":"failed"}' in client.get(f"{place}/events").text
        assert client.get(place).status_code == 499
        report = client.post("/v1/collections/birds/documents", json={"files": sent[:1]}).json()
        assert [each["outcome"] for each in report["documents"]] == ["indexed"]
        assert len(found(client)) == 5
    assert server.stop() == 0

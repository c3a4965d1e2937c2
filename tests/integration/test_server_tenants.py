"""What belongs to somebody else is as what never was; what is about a person ends with their key; labels hide documents."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.serving import Server

from bottega.server.table import TABLE

STEPS = [{"id": "s", "engine": "compose", "params": {"template": "Mine alone.\n"}, "path": "s.md"}]
NOBODYS = {
    "run": "run-000000000000", "file": "file-" + "0" * 24, "batch": "batch_" + "0" * 24, "video": "video-000000000000",
    "response": "resp_call-000000000000", "sha256": "0" * 64,
}  # fmt: skip
OWNED = [route for route in TABLE if any(f"{{{place}}}" in route.path for place in NOBODYS)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log(), made.log()


def made(client: httpx.Client, **more: Any) -> tuple[str, str]:
    """A run that has ended, and what it made."""
    brief = {"goal": "mine alone", "steps": STEPS, **more}
    file = client.post("/v1/files", files={"file": ("a.txt", b"words to write from")}).json()["id"]
    run = client.post("/v1/runs", json={"brief": {**brief, "sources": [file]}}).json()["id"]
    client.get(f"/v1/runs/{run}/events").raise_for_status()
    found = client.get(f"/v1/runs/{run}").json()
    assert found["state"] == "released", found
    return run, found["steps"][0]["outputs"][0]["artifact"]["sha256"]


def at(path: str, ids: dict[str, str]) -> str:
    for place, value in {**ids, "*path": "s.md"}.items():
        path = path.replace(f"{{{place}}}", value)
    return path


def test_another_tenants_things_are_answered_as_what_never_was(server: Server) -> None:
    owner, stranger, lead = (
        server.make_key("owner"), server.make_key("stranger"), server.make_key("lead", "admin", project=project(server))
    )  # fmt: skip
    ids: dict[str, str] = {}
    with server.client(owner) as client:
        line = b'{"custom_id":"a","method":"POST","url":"/v1/responses","body":{"model":"echo","input":"x"}}'
        ids["file"] = client.post("/v1/files", files={"file": ("a.jsonl", line)}).json()["id"]
        body = {"input_file_id": ids["file"], "endpoint": "/v1/responses"}
        ids["batch"] = client.post("/v1/batches", json=body).json()["id"]
        ids["response"] = client.post("/v1/responses", json={"model": "echo", "input": "mine"}).json()["id"]
        ids["run"], ids["sha256"] = made(client)
        ids["video"] = client.post("/v1/videos", json={"prompt": "Mine.", "size": "320x240"}).json()["id"]
        assert len(OWNED) >= 17 and len(ids) == len(NOBODYS)
        for secret in (stranger, lead):
            with server.client(secret) as theirs:
                for route in OWNED:
                    real, never = (
                        theirs.request(route.method, at(route.path, some)) for some in (ids, NOBODYS)
                    )
                    assert real.status_code == never.status_code == 404, (route.path, real.text)
                    said = real.text
                    for place, value in ids.items():
                        said = said.replace(value, NOBODYS[place])
                    assert said == never.text, route.path
                    heads = [{n: v for n, v in answer.headers.items() if n not in ("date", "x-bottega-overhead-ms", "content-length")}
                             for answer in (real, never)]  # fmt: skip
                    assert heads[0] == heads[1]
                body = {"model": "echo", "input": "x", "previous_response_id": ids["response"]}
                assert theirs.post("/v1/responses", json=body).status_code == 404
                for path in ("/v1/runs", "/v1/files", "/v1/batches", "/v1/videos"):
                    assert theirs.get(path).json()["data"] == []
        for route in OWNED:  # nothing of it was harmed
            if route.method == "GET" and "video" not in route.path:
                assert client.get(at(route.path, ids)).status_code == 200, route.path
        assert client.delete(f"/v1/videos/{ids['video']}").status_code == 200


def project(server: Server) -> str:
    with server.client() as admin:
        admin.put("/v1/projects/elsewhere", json={}).raise_for_status()
    return "elsewhere"


def test_what_is_about_a_person_is_their_askers_until_it_is_erased(server: Server) -> None:
    with server.client(server.make_key("carer")) as carer, server.client() as admin:
        about = [{**STEPS[0], "params": {"template": "Mine and hers.\n"}}]
        run, sha = made(carer, data_subject="customer-1138", steps=about)
        paths = [
            f"/v1/runs/{run}",
            f"/v1/runs/{run}/events",
            f"/v1/runs/{run}/files/s.md",
            f"/v1/artifacts/{sha}",
        ]
        assert carer.get(paths[-1]).text == "Mine and hers.\n"
        for path in paths:
            assert carer.get(path).status_code == 200, path
            assert admin.get(path).status_code == 404, path  # not even who sees every other run
        assert run not in admin.get("/v1/runs").text
        words = ["erase", "customer-1138", "--why", "asked to", "--yes"]
        done = subprocess.run([sys.executable, "-m", "bottega", *words], env=server.environment, capture_output=True,
                              text=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr
        for path in paths:
            gone, never = (
                carer.get(path),
                carer.get(path.replace(run, NOBODYS["run"]).replace(sha, NOBODYS["sha256"])),
            )
            assert gone.status_code == never.status_code == 404, (path, gone.text)
            assert gone.text.replace(run, NOBODYS["run"]) == never.text
        again = carer.post(
            "/v1/briefs", json={"goal": "more of them", "steps": STEPS, "data_subject": "customer-1138"}
        )
        assert again.status_code == 403 and "customer-1138" not in again.text
    assert "customer-1138" not in server.log()


def test_a_key_sees_documents_with_its_labels_alone(server: Server) -> None:
    with server.client() as admin:
        for name, words, labels in (("open", b"The kettle boils in four minutes.", []),
                                    ("staff", b"The kettle costs us nine euros to make.", ["staff"])):  # fmt: skip
            file = admin.post("/v1/files", files={"file": (f"{name}.txt", words)}).json()["id"]
            asked = {"files": [file], "labels": labels}
            admin.post("/v1/collections/kettle/documents", json=asked).raise_for_status()
    found: dict[str, str] = {}
    for name, labels in (("clerk", ["staff"]), ("guest", []), ("other", ["press"])):
        with server.client(server.make_key(name, labels=labels)) as client:
            found[name] = client.post("/v1/collections/kettle/search", json={"query": "kettle cost"}).text
            (row,) = client.get("/v1/collections").json()["data"]
            document = json.loads(found[name])["data"][0]["document"]
            assert not {"id", "place"} & set(document), "a number counts what is hidden"
            assert row["documents"] == (2 if name == "clerk" else 1)
    assert "nine euros" in found["clerk"] and "four minutes" in found["clerk"]
    assert (
        found["guest"] == found["other"]
        and "nine euros" not in found["guest"]
        and "four minutes" in found["guest"]
    )

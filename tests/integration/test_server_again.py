"""Sound that is asked for again under the same idempotency key is given again, however it is sent."""

import base64
import json
from collections.abc import Iterator

import pytest
from tests.serving import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("again"), environment={"BOTTEGA_THREADS": "1"})
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log()


def test_sound_comes_again_and_is_made_once(server: Server) -> None:
    body = {"model": "speech", "input": "Yes.", "response_format": "pcm"}
    head = {"Idempotency-Key": "sound"}
    with server.client() as client:
        first, second = (client.post("/v1/audio/speech", json=body, headers=head) for _ in range(2))
        assert first.headers["x-bottega-run-id"] == second.headers["x-bottega-run-id"]
        assert len(second.content) == len(first.content) > 10_000
        told = client.post("/v1/audio/speech", json={**body, "stream_format": "sse"}, headers=head).text
        events = [json.loads(line[6:]) for line in told.splitlines() if line.startswith("data: ")]
        assert [each["type"] for each in events] == ["speech.audio.delta", "speech.audio.done"]
        assert base64.b64decode(events[0]["audio"]) == second.content
        subject = {"subject": f"run/{first.headers['x-bottega-run-id']}"}
        acts = [entry["act"] for entry in client.get("/v1/audit", params=subject).json()["data"]]
    assert acts.count("pipeline:step:finished") == 1

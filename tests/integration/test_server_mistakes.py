"""What a caller did wrong is told to the caller: no 5xx, and no engine is taken for broken because of it."""

import io
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serving import Server

HELLO: Any = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("mistakes"), environment={"BOTTEGA_THREADS": "1"})
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log()


def nested(depth: int) -> dict[str, Any]:
    """A schema of arrays in each other."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return {"type": "json_schema", "json_schema": {"name": "deep", "schema": schema}}


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        (
            "/v1/chat/completions",
            {"model": "small", "messages": HELLO, "response_format": nested(300)},
            "body",
        ),
        ("/v1/chat/completions", {"model": "echo", "messages": HELLO, "response_format": nested(62)}, "body"),
        ("/v1/detokenize", {"model": "small", "tokens": [1_000_000_000]}, "tokens"),
        ("/v1/detokenize", {"model": "small", "tokens": [-1]}, "tokens"),
        ("/v1/tokenize", {"model": "potion-base-8m", "messages": HELLO}, "messages"),
        ("/v1/images/generations", {"prompt": "\u0001", "size": "256x256"}, "title"),
        ("/v1/images/generations", {"prompt": "w" * 190, "size": "256x256"}, "title"),
        ("/v1/videos", {"prompt": "The kettle is on.", "seed": -1}, "seed"),
        ("/v1/videos", {"prompt": "The kettle is on.", "seed": 2**31}, "seed"),
        ("/v1/audio/speech", {"model": "speech", "input": "?!?"}, "script"),
        ("/v1/audio/speech", {"model": "speech", "input": "?!?", "response_format": "pcm"}, "script"),
        (
            "/v1/audio/speech",
            {"model": "speech", "input": "Bonjour.", "voice": "af_heart", "language": "fr"},
            "voice",
        ),
    ],
)
def test_a_mistake_in_the_body_is_the_callers(server: Server, path: str, body: Any, where: str) -> None:
    with server.client() as client:
        answer = client.post(path, json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, where), answer.text


def test_so_is_a_recording_that_ends_too_early(server: Server) -> None:
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"\0\0" * 16_000)
    with server.client() as client:
        for size in (20, 44, 45):
            files = {"file": ("cut.wav", sound.getvalue()[:size], "audio/wav")}
            answer = client.post("/v1/audio/transcriptions", files=files, data={"model": "transcribe"})
            assert answer.status_code == 400, (size, answer.text)


def test_mistakes_do_not_make_a_target_be_left_alone(server: Server) -> None:
    with server.client() as client:
        for _ in range(6):
            client.post("/v1/detokenize", json={"model": "small", "tokens": [1_000_000_000]})
        assert client.post("/v1/detokenize", json={"model": "small", "tokens": [1]}).status_code == 200


def test_a_picture_leaves_out_what_cannot_be_printed(server: Server) -> None:
    with server.client() as client:
        body = {"prompt": "A quiet\u0001 kettle\u001c", "size": "256x256"}
        assert client.post("/v1/images/generations", json=body).status_code == 200


def test_depth_is_bounded_and_brackets_in_words_are_none(server: Server, tmp_path: Path) -> None:
    with server.client() as client:
        words = "[" * 300 + '"{\\' * 3
        body = {"model": "echo", "messages": [{"role": "user", "content": words}]}
        answer = client.post("/v1/chat/completions", json=body)
        assert answer.json()["choices"][0]["message"]["content"] == words
        flat = {"model": "echo", "messages": HELLO * 100}
        assert client.post("/v1/chat/completions", json=flat).status_code == 200

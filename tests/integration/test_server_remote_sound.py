"""Speech and transcripts of remote models through the API, in the formats that those made here have."""

import io
import math
import struct
import wave
from collections.abc import Iterator
from typing import Any

import pytest
import soundfile
from tests.serving import Server
from tests.upstream import Upstream


def tone(rate: int, seconds: float = 0.5) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        levels = [round(9000 * math.sin(at * 440 * 6.28 / rate)) for at in range(round(rate * seconds))]
        file.writeframes(struct.pack(f"<{len(levels)}h", *levels))
    return out.getvalue()


WORDS = [{"word": "hello", "start": 0.1, "end": 0.4}, {"word": "there", "start": 0.5, "end": 0.9}]
SCRIPT: dict[str, list[dict[str, Any]]] = {
    "voice": [{"sound": tone(24_000)}],
    "slow-voice": [{"sound": tone(22_050)}],
    "no-voice": [{"data": {"error": {"message": "no"}}}],
    "ear": [{"data": {"text": "hello there", "language": "english", "duration": 1.0, "words": WORDS}}],
    "plain-ear": [{"data": {"text": "hello there"}}],
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    made = Upstream(script=SCRIPT)
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models: list[str] = []
    for name in SCRIPT:
        engine = "openai_speech" if "voice" in name else "openai_transcribe"
        price = "price_in = 1000.0" if "voice" in name else "price = 0.6, largest = 100_000"
        params = f'base_url = "{upstream.url}", {price}'
        target = f'{{ engine = "{engine}", model = "{name}", params = {{ {params} }} }}'
        models.append(f'[[models]]\nname = "{name}"\nretries = 0\ntargets = [{target}]\n')
    made = Server(tmp_path_factory.mktemp("sound"), config="\n".join(models))
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log()


def spoken(server: Server, key: str | None = None, **more: Any) -> Any:
    body = {"model": "voice", "input": "The kettle is on.", "voice": "coral", **more}
    with server.client(key) as http:
        return http.post("/v1/audio/speech", json=body)


@pytest.mark.parametrize("kind", ["mp3", "wav", "flac", "opus"])
@pytest.mark.parametrize("model", ["voice", "slow-voice"])
def test_speech_of_a_remote_model_comes_in_every_format(server: Server, model: str, kind: str) -> None:
    answer = spoken(server, model=model, response_format=kind)
    assert answer.status_code == 200, answer.text
    samples, rate = soundfile.read(io.BytesIO(answer.content))
    assert len(samples) / rate == pytest.approx(0.5, abs=0.1)


def test_speech_streams_and_is_counted(server: Server, upstream: Upstream) -> None:
    key = server.make_key("reader", charge=["project:sound"])
    pcm = tone(24_000)[44:]
    assert spoken(server, key, response_format="pcm").content == pcm
    assert upstream.last("voice")["voice"] == "coral"
    streamed = spoken(server, key, stream_format="sse")
    assert "speech.audio.delta" in streamed.text and "speech.audio.done" in streamed.text
    slow = spoken(server, model="slow-voice", response_format="pcm").content
    assert len(slow) == pytest.approx(len(pcm), abs=4), "at the rate that who reads it expects"
    with server.client() as http:
        rows = http.get("/v1/budgets").json()["data"]
    mine = {row["unit"]: row for row in rows if row["account"] == "project:sound"}
    assert (float(mine["second"]["spent"]), mine["second"]["reserved"]) == (1.0, "0")
    assert float(mine["usd"]["spent"]) == pytest.approx(2 * 17 * 1000 / 1e6)


def test_a_server_without_sound_fails_clearly(server: Server) -> None:
    answer = spoken(server, model="no-voice")
    assert answer.status_code == 502 and "no WAV file" in answer.json()["error"]["message"]


def heard(server: Server, path: str = "transcriptions", key: str | None = None, **fields: str) -> Any:
    data = {"model": "ear", **fields}
    with server.client(key) as http:
        return http.post(
            f"/v1/audio/{path}", data=data, files={"file": ("said.wav", tone(16_000, 1.0), "audio/wav")}
        )


def test_a_recording_is_written_down_by_a_remote_model(server: Server, upstream: Upstream) -> None:
    key = server.make_key("writer", charge=["project:ears"])
    answer = heard(server, key=key, language="en")
    assert answer.json() == {"text": "hello there", "usage": {"type": "duration", "seconds": 1.0}}
    sent = upstream.last("ear")
    assert (sent["path"], sent["language"], sent["file"]) == (
        "/v1/audio/transcriptions", "en", tone(16_000, 1.0),
    )  # fmt: skip
    assert sent["timestamp_granularities[]"] == "segment" and "prompt" not in sent
    whole = heard(server, response_format="verbose_json").json()
    assert (whole["words"], whole["language"]) == (WORDS, "english")
    assert "00:00:00,100 --> 00:00:00,900\nhello there" in heard(server, response_format="srt").text
    with server.client() as http:
        rows = http.get("/v1/budgets").json()["data"]
    mine = {row["unit"]: row for row in rows if row["account"] == "project:ears"}
    assert float(mine["second"]["spent"]) == 1.0
    assert float(mine["usd"]["spent"]) == pytest.approx(0.01)


def test_a_recording_is_translated_by_a_remote_model(server: Server, upstream: Upstream) -> None:
    assert heard(server, "translations").json()["text"] == "hello there"
    sent = upstream.last("ear")
    assert sent["path"] == "/v1/audio/translations" and "language" not in sent


def test_what_a_model_does_not_tell_is_not_made_up(server: Server) -> None:
    assert heard(server, model="plain-ear").json()["usage"]["seconds"] == 1.0, "as it was measured here"
    answer = heard(server, model="plain-ear", response_format="srt")
    assert answer.status_code == 400 and "tells no times" in answer.json()["error"]["message"]


def test_a_recording_that_is_too_large_there_is_not_sent(server: Server, upstream: Upstream) -> None:
    asked = len(upstream.asked)
    with server.client() as http:
        files = {"file": ("said.wav", tone(48_000, 2.0), "audio/wav")}
        answer = http.post("/v1/audio/transcriptions", data={"model": "ear"}, files=files)
    assert answer.status_code == 413 and "the server takes 100000" in answer.json()["error"]["message"]
    assert len(upstream.asked) == asked

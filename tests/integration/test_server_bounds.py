"""What is sent is bounded in every way, uploads lie on disk and not in memory, and nothing of a broken one stays."""

import io
import re
import socket
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.serving import Server

CONFIG = 'engines = ["echo", "layout", "transcribe"]\njson_bytes = 100_000\nfile_bytes = 80_000_000\npixels = 10_000\naudio_seconds = 2.0\n'
PIECE = 1 << 20


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, scratch: Path) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"), config=CONFIG, environment={"TMPDIR": str(scratch)})
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log(), made.log()


def peak(server: Server) -> int:
    """The most memory that the server has had, in bytes."""
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{server.process.pid}/status").read_text())
    return int(kilobytes) << 10


def test_json_is_bounded_in_size_and_depth(server: Server) -> None:
    with server.client() as client:
        long = b'{"model": "echo", "messages": [{"role": "user", "content": "%b"}]}' % (b"x" * 100_000)
        assert client.post("/v1/chat/completions", content=long).status_code == 413
        assert (
            client.post("/v1/chat/completions", content=(long for _ in range(1))).status_code == 413
        )  # not announced
        for deep in (b"[" * 90_000, b'{"a":' * 15_000 + b"1" + b"}" * 15_000):
            answer = client.post("/v1/chat/completions", content=deep)
            assert answer.status_code == 400 and answer.json()["error"]["param"] in ("body", "model")
        nested = (
            b'{"model":"echo","messages":[{"role":"user","content":['
            + b'{"a":[' * 9000
            + b"]}" * 9000
            + b"]}]}"
        )
        assert client.post("/v1/chat/completions", content=nested).status_code == 400


def test_pictures_and_sound_are_bounded_in_what_they_hold(server: Server) -> None:
    out = io.BytesIO()
    Image.new("RGB", (101, 100)).save(out, "PNG")  # 300 bytes, and more pixels than are allowed
    with server.client() as client:
        image = {"image": ("a.png", out.getvalue())}
        answer = client.post("/v1/images/edits", files=image, data={"prompt": "x"})
        assert (answer.status_code, answer.json()["error"]["param"]) == (413, "image")
        headless = (
            sound(3)[:40] + (0xFFFFFFFF).to_bytes(4, "little") + sound(3)[44:]
        )  # how long, it does not say
        for data in (sound(3), headless):
            answer = client.post(
                "/v1/audio/transcriptions", files={"file": ("a.wav", data)}, data={"model": "transcribe"}
            )
            assert answer.status_code == 413 and "2 are allowed" in answer.text, answer.text


def sound(seconds: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000 * seconds))
    return out.getvalue()


def test_an_upload_goes_to_disk_as_it_comes(server: Server, scratch: Path) -> None:
    def body(pieces: int) -> Iterator[bytes]:
        yield b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
        for _ in range(pieces):
            yield bytes(PIECE)
        yield b"\r\n--b--\r\n"

    heads = {"content-type": "multipart/form-data; boundary=b"}
    with server.client() as client:
        before = peak(server)
        sent = client.post("/v1/files", content=body(64), headers=heads)
        assert sent.status_code == 200 and sent.json()["bytes"] == 64 * PIECE
        assert peak(server) - before < 24 * PIECE
        assert client.post("/v1/files", content=body(90), headers=heads).status_code == 413
        assert client.delete(f"/v1/files/{sent.json()['id']}").status_code == 200
    assert [*scratch.glob("bottega-upload-*")] == []


def test_files_that_nobody_reads_are_not_held_in_memory(server: Server) -> None:
    data = bytes(range(256)) * (48 << 12)  # 48 MiB
    host, port = server.url.removeprefix("http://").split(":")
    with server.client() as client:
        sent = client.post("/v1/files", files={"file": ("a.bin", data)}, data={"purpose": "user_data"}).json()
        head = f"GET /v1/files/{sent['id']}/content HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {server.key}\r\n\r\n"
        before = peak(server)
        idle = [socket.create_connection((host, int(port))) for _ in range(4)]
        for peer in idle:
            peer.sendall(head.encode())
        assert client.get(f"/v1/files/{sent['id']}/content").content == data
        assert all(peer.recv(15) == b"HTTP/1.1 200 OK" for peer in idle)
        assert peak(server) - before < 24 * PIECE
        for peer in idle:
            peer.close()
        assert client.delete(f"/v1/files/{sent['id']}").status_code == 200


@pytest.mark.parametrize("end", ["head", "part", "middle", "last"])
def test_nothing_stays_of_an_upload_that_breaks_off(server: Server, scratch: Path, end: str) -> None:
    part = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
    whole = part + bytes(200_000) + b"\r\n--b--\r\n"
    cut = {"head": 0, "part": len(part) // 2, "middle": 100_000, "last": len(whole) - 3}[end]
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {server.key}\r\n" + (
        f"content-type: multipart/form-data; boundary=b\r\ncontent-length: {len(whole)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as peer:
        peer.sendall(head.encode() + whole[:cut])
    until = time.monotonic() + 30
    with server.client() as client:
        while [*scratch.glob("bottega-upload-*")]:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert client.get("/v1/files").json()["data"] == []

"""A pytest plugin for the suite that `openai`'s source archive brings: its placeholders become things that exist.

The suite speaks to a mock that accepts any id and any bytes. Against a real server its key, its ids (`file_id`, ...) and its files
(`Example data`) are put right in each request before it is sent; answers are judged as the suite judges them.
"""

import base64
import io
import os
import re
import wave
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import httpx2

URL, KEY = os.environ["JUDGED_URL"], os.environ["JUDGED_KEY"]
HTTP = httpx.Client(base_url=URL, headers={"Authorization": f"Bearer {KEY}"}, timeout=120, trust_env=False)
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
LINE = b'{"custom_id":"a","method":"POST","url":"/v1/responses","body":{"model":"echo","input":"hello"}}'


def file_id() -> str:
    """A file with one line of a batch."""
    sent = HTTP.post("/v1/files", files={"file": ("a.jsonl", LINE)}, data={"purpose": "batch"})
    return sent.json()["id"]


def batch_id() -> str:
    """A batch that was just begun."""
    body = {"input_file_id": file_id(), "endpoint": "/v1/responses"}
    return HTTP.post("/v1/batches", json=body).json()["id"]


def response_id(*, background: bool = False) -> str:
    """A response that is kept."""
    body = {"model": "gpt-6-astra", "input": "hello", "background": background}
    return HTTP.post("/v1/responses", json=body).json()["id"]


def recording() -> bytes:
    """Half a second of silence (WAV)."""
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16000)
        sound.writeframes(bytes(16000))
    return out.getvalue()


MAKERS: Mapping[str, Callable[[], str]] = {
    "file_id": file_id, "input_file_id": file_id, "batch_id": batch_id, "response_id": response_id,
    "previous_response_id": response_id,
}  # fmt: skip


def real(request: Any) -> Any:
    """The request as it is sent: to a server that checks what it is given."""
    headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
    headers["authorization"] = f"Bearer {KEY}"
    url, content = str(request.url), request.read()
    if found := re.search(r"/(resp_[0-9a-f]{16,}|file_id|batch_id|response_id)(?=/|\?|$)", url):
        name = "response_id" if found[1].startswith("resp_") else found[1]
        made = response_id(background=True) if url.endswith("/cancel") and name == "response_id" else ""
        url = url.replace(found[1], made or MAKERS[name]())
    for name in (b"input_file_id", b"previous_response_id"):
        placeholder = b'"%b":"%b"' % (name, name)
        if placeholder in content:
            content = content.replace(placeholder, b'"%b":"%b"' % (name, MAKERS[name.decode()]().encode()))
    if b"Example data" in content and "/files" not in url:
        content = content.replace(b"Example data", recording() if "/audio/" in url else PICTURE)
    return httpx2.Request(request.method, url, headers=headers, content=content or None)


def pytest_configure() -> None:
    """Put them right in the one client that the suite uses."""
    send = httpx2.Client.send

    def sent(client: Any, request: Any, **options: Any) -> Any:
        return send(client, real(request), **options)

    httpx2.Client.send = sent  # pyright: ignore[reportAttributeAccessIssue]

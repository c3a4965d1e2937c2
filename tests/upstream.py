"""A real small server of OpenAI's dialect, in threads of the test, that says what a test laid out for a model's name."""

import base64
import json
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def called(name: str, arguments: str, call: str = "call_a") -> dict[str, Any]:
    """A call of a tool, as the chat dialect has it."""
    return {"id": call, "type": "function", "function": {"name": name, "arguments": arguments}}


def says(content: str | None, *calls: Mapping[str, Any], finish: str = "") -> dict[str, Any]:
    """A choice: words, calls, and why it ended."""
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = [*calls]
    return {"message": message, "finish_reason": finish or ("tool_calls" if calls else "stop")}


@dataclass
class Upstream:
    """``script`` has the choices of each model, the last of them for ever; ``asked`` what was asked of it, with its path.

    A choice with a ``status`` refuses, one with ``data`` is the whole answer, one with ``sound`` bytes. Vectors are counts of the letters of a text, as many as ``dimensions``, and 26 without.
    """

    script: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def __post_init__(self) -> None:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["content-length"]))
                status, media_type, body = upstream.answer(self.path, data, self.headers["content-type"])
                self.send_response(status)
                self.send_header("content-type", media_type)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()

    def last(self, model: str) -> dict[str, Any]:
        """What was asked of a model last."""
        return next(each for each in reversed(self.asked) if each["model"] == model)

    def answer(self, path: str, data: bytes, media_type: str) -> tuple[int, str, bytes]:
        """Status, media type and body."""
        asked = json.loads(data) if media_type == "application/json" else _form(data, media_type)
        self.asked.append({**asked, "path": path})
        choices = self.script.setdefault(asked["model"], [{}])
        choice = choices.pop(0) if len(choices) > 1 else choices[0]
        if "status" in choice:
            return choice["status"], "application/json", b'{"error": {"message": "not now"}}'
        if "data" in choice:
            return 200, "application/json", json.dumps(choice["data"]).encode()
        if "sound" in choice:
            return 200, "audio/wav", choice["sound"]
        if path.endswith("/embeddings"):
            return 200, "application/json", json.dumps(_vectors(asked)).encode()
        if asked.get("stream"):
            return 200, "text/event-stream", b"".join(_events(choice))
        whole = {"choices": [{"index": 0, **choice}], "usage": USAGE}
        return 200, "application/json", json.dumps(whole).encode()


def _form(data: bytes, media_type: str) -> dict[str, Any]:
    """Fields as text, files as bytes; of a field that comes several times the last."""
    head = b"Content-Type: " + media_type.encode() + b"\r\n\r\n"
    found: dict[str, Any] = {}
    parts: Any = BytesParser(policy=HTTP).parsebytes(head + data).iter_parts()
    for part in parts:
        name: str = part.get_param("name", header="content-disposition")
        content: bytes = part.get_payload(decode=True)
        found[name] = content if part.get_filename() else content.decode()
    return found


def letters(text: str, size: int = 26) -> list[float]:
    """How often each letter stands in a text."""
    return [float(text.lower().count(chr(ord("a") + place))) for place in range(size)]


def _vectors(asked: dict[str, Any]) -> dict[str, Any]:
    rows = [letters(text, asked.get("dimensions", 26)) for text in asked["input"]]
    packed = asked["encoding_format"] == "base64"
    data = [{"index": index, "embedding": _packed(row) if packed else row} for index, row in enumerate(rows)]
    return {"data": data[::-1], "usage": {"prompt_tokens": sum(map(len, asked["input"]))}}


def _packed(row: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode()


def _events(choice: dict[str, Any]) -> list[bytes]:
    """A choice in small pieces."""
    message, deltas = choice["message"], list[dict[str, Any]]()
    text = message["content"] or ""
    deltas += [{"content": text[at : at + 5]} for at in range(0, len(text), 5)]
    for index, call in enumerate(message.get("tool_calls", ())):
        function, arguments = call["function"], call["function"]["arguments"]
        deltas.append({"tool_calls": [{**call, "index": index, "function": {**function, "arguments": ""}}]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": arguments[at : at + 4]}}]}
            for at in range(0, len(arguments), 4)
        ]
    chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    chunks.append({"choices": [], "usage": USAGE})
    return [*(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks), b"data: [DONE]\n\n"]

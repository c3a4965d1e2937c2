"""Files in conversations: read as text, and fetched from where the operator allows."""

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import openai
import pytest
from tests.serving import Server

WORDS = "The Rill kettle holds 1.2 litres."


class Elsewhere(BaseHTTPRequestHandler):
    """A document on another server, and a redirect to one that may not be reached."""

    port = 0

    def do_GET(self) -> None:
        if self.path == "/away":
            self.send_response(302)
            self.send_header("location", f"http://127.0.0.2:{Elsewhere.port}/facts.md")
        else:
            self.send_response(200)
            self.send_header("content-length", str(len(WORDS)))
        self.end_headers()
        if self.path != "/away":
            self.wfile.write(WORDS.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    Elsewhere.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, elsewhere: int) -> Iterator[Server]:
    fetch = f'[fetch]\nhosts = ["*"]\nprivate = ["127.0.0.1/32"]\nplain = true\nports = [{elsewhere}]\n'
    made = Server(tmp_path_factory.mktemp("server"), config=fetch)
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log()


def chat(http: httpx.Client, file: dict[str, Any]) -> httpx.Response:
    content = [{"type": "text", "text": "Read this. "}, {"type": "file", "file": file}]
    return http.post(
        "/v1/chat/completions", json={"model": "echo", "messages": [{"role": "user", "content": content}]}
    )


def test_a_document_is_read_wherever_it_comes_from(server: Server, elsewhere: int) -> None:
    with server.client() as http:
        sent = http.post("/v1/files", files={"file": ("facts.md", WORDS.encode())}).json()["id"]
        data = f"data:text/markdown;base64,{base64.b64encode(WORDS.encode()).decode()}"
        for file in ({"file_id": sent}, {"file_data": data, "filename": "facts.md"},
                     {"file_url": f"http://127.0.0.1:{elsewhere}/facts.md"}):  # fmt: skip
            answer = chat(http, file)
            assert answer.status_code == 200, answer.text
            said = answer.json()["choices"][0]["message"]["content"]
            assert said.startswith("Read this. File facts.md:") and WORDS in said
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as client:
        piece: Any = {"type": "input_file", "file_url": f"http://127.0.0.1:{elsewhere}/facts.md"}
        made = client.responses.create(model="echo", input=[{"role": "user", "content": [piece]}])
        assert WORDS in made.output_text


def test_what_may_not_be_fetched_or_read_is_refused_with_the_reason(server: Server, elsewhere: int) -> None:
    with server.client() as http, server.client(server.make_key("stranger")) as stranger:
        sent = http.post("/v1/files", files={"file": ("facts.md", WORDS.encode())}).json()["id"]
        assert chat(stranger, {"file_id": sent}).status_code == 404
        for url, status in (
            (f"http://127.0.0.1:{elsewhere}/away", 403), (f"http://127.0.0.2:{elsewhere}/", 403),
            (f"http://[::ffff:127.0.0.2]:{elsewhere}/", 403), ("http://127.0.0.1:1/", 403), ("file:///etc/passwd", 403),
        ):  # fmt: skip
            answer = chat(http, {"file_url": url})
            assert answer.status_code == status and WORDS not in answer.text, (url, answer.text)
            assert answer.json()["error"]["param"] == "messages[0].content[1].file_url"
        assert chat(http, {"file_data": "%%%", "filename": "a.txt"}).status_code == 400
        assert (
            chat(http, {"file_data": base64.b64encode(b"\x00\x01").decode(), "filename": "a.bin"}).status_code
            == 422
        )
        assert chat(http, {}).status_code == 400
        picture = {"type": "image_url", "image_url": {"url": f"http://127.0.0.1:{elsewhere}/facts.md"}}
        body = {"model": "echo", "messages": [{"role": "user", "content": [picture]}]}
        refused = http.post("/v1/chat/completions", json=body)
        assert refused.status_code == 400 and "image_url" in refused.text

"""Files in conversations: read as text, and fetched from where the operator allows."""

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import openai
import pytest
import typst
from tests.serving import Server

WORDS = "The Rill kettle holds 1.2 litres."
PDF = typst.compile(f"= Facts\n{WORDS}".encode())


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


def test_anthropics_documents_are_read_and_fetched_under_the_same_rules(
    server: Server, elsewhere: int
) -> None:
    plain = {"type": "base64", "media_type": "text/plain", "data": base64.b64encode(WORDS.encode()).decode()}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(PDF).decode()}

    def ask(http: httpx.Client, source: dict[str, Any], **more: Any) -> httpx.Response:
        document = {"type": "document", "source": source, **more}
        content = [document, {"type": "text", "text": "Read this."}]
        body = {"model": "echo", "max_tokens": 50, "messages": [{"role": "user", "content": content}]}
        return http.post("/v1/messages", json=body)

    with server.client() as http:
        sent = http.post("/v1/files", files={"file": ("facts.md", WORDS.encode())}).json()["id"]
        for source in (plain, pdf, {"type": "text", "media_type": "text/plain", "data": WORDS},
                       {"type": "url", "url": f"http://127.0.0.1:{elsewhere}/facts.md"},
                       {"type": "file", "file_id": sent}):  # fmt: skip
            answer = ask(http, source, title="Facts")
            assert answer.status_code == 200, (source, answer.text)
            said = answer.json()["content"][0]["text"]
            assert said.startswith("File ") and "holds 1.2 litres" in said, said
        for source, status in (
            ({"type": "url", "url": f"http://127.0.0.2:{elsewhere}/"}, 403), ({"type": "content", "content": "x"}, 400),
            ({"type": "base64", "media_type": "application/pdf", "data": "%%"}, 400), ({}, 400),
            ({"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(b"%PDF-1.4 cut").decode()}, 422),
        ):  # fmt: skip
            answer = ask(http, source)
            assert answer.status_code == status and answer.json()["type"] == "error", (source, answer.text)
        image = {"type": "image", "source": {"type": "url", "url": "http://127.0.0.1/"}}
        body = {"model": "echo", "max_tokens": 9, "messages": [{"role": "user", "content": [image]}]}
        assert http.post("/v1/messages", json=body).status_code == 400

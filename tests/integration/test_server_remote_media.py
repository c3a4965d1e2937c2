"""Pictures of remote models through the API: signed, counted and recorded as those that are made here."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from tests.serving import Server
from tests.upstream import Upstream


def picture(kind: str, colour: str = "navy", size: tuple[int, int] = (64, 64)) -> str:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return base64.b64encode(out.getvalue()).decode()


def drawn(packed: str) -> dict[str, Any]:
    return {"data": {"data": [{"b64_json": packed}]}}


SCRIPT: dict[str, list[dict[str, Any]]] = {
    "png": [drawn(picture("PNG"))],
    "jpeg": [drawn(picture("JPEG", "teal"))],
    "address": [{"data": {"data": [{"url": "http://127.0.0.1:9/picture.png"}]}}],
    "junk": [drawn(base64.b64encode(b"GIF89a and so on").decode())],
    "huge": [drawn(picture("PNG", size=(4097, 8)))],
    "busy": [{"status": 503}, drawn(picture("PNG"))],
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    made = Upstream(script={name: [*choices] for name, choices in SCRIPT.items()})
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    params = f'base_url = "{upstream.url}", price = 0.04, backoff = 0.01'
    models = [
        f'[[models]]\nname = "{name}"\ntargets = [{{ engine = "openai_images", model = "{name}", params = {{ {params} }} }}]\n'
        for name in SCRIPT
    ]
    made = Server(tmp_path_factory.mktemp("media"), config="\n".join(models))
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log()


def ask(server: Server, model: str, **more: Any) -> Any:
    with server.client() as http:
        body = {"model": model, "prompt": "a quiet kettle", "size": "64x64", **more}
        return http.post("/v1/images/generations", json=body)


def run_of(server: Server, data: bytes) -> str:
    """Which call its credentials name, if they hold."""
    with server.client() as http:
        answer = http.post("/v1/content_provenance_checks", files={"file": ("picture.png", data)})
    found = answer.json()["results"][0]
    return found["run"] if found["validation_state"] == "trusted" else found["validation_state"]


def test_a_picture_of_a_remote_model_is_signed_counted_and_recorded(
    server: Server, upstream: Upstream
) -> None:
    key = server.make_key("painter", charge=["project:pictures"])
    with server.client(key) as http:
        body = {"model": "png", "prompt": "a quiet kettle", "size": "64x64", "n": 2, "seed": 5}
        answer = http.post("/v1/images/generations", json=body)
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["data"]
    data = base64.b64decode(first["b64_json"])
    with Image.open(io.BytesIO(data)) as made:
        assert (made.format, made.size, made.getpixel((1, 1))) == ("PNG", (64, 64), (0, 0, 128))
    assert run_of(server, data) == answer.headers["x-bottega-run-id"] and second["b64_json"]
    sent = upstream.last("png")
    assert (sent["path"], sent["size"], sent["n"], sent["prompt"]) == (
        "/v1/images/generations", "64x64", 1, "a quiet kettle",
    )  # fmt: skip
    assert "seed" not in sent and sent["response_format"] == "b64_json"
    with server.client() as http:
        rows = http.get("/v1/budgets").json()["data"]
    mine = {row["unit"]: row for row in rows if row["account"] == "project:pictures"}
    assert (mine["image"]["spent"], float(mine["usd"]["spent"])) == ("2", pytest.approx(0.08))


def test_what_a_remote_model_signed_already_is_signed_here_too(server: Server, upstream: Upstream) -> None:
    once = ask(server, "png").json()["data"][0]["b64_json"]
    upstream.script["jpeg"].insert(0, drawn(once))
    answer = ask(server, "jpeg")
    twice = base64.b64decode(answer.json()["data"][0]["b64_json"])
    assert run_of(server, twice) == answer.headers["x-bottega-run-id"]


def test_other_formats_become_png_and_what_may_pass_is_tried_again(
    server: Server, upstream: Upstream
) -> None:
    for model in ("jpeg", "busy"):
        answer = ask(server, model)
        assert answer.status_code == 200, answer.text
        with Image.open(io.BytesIO(base64.b64decode(answer.json()["data"][0]["b64_json"]))) as made:
            assert made.format == "PNG"
    assert sum(each["model"] == "busy" for each in upstream.asked) == 2


@pytest.mark.parametrize(
    ("model", "told"),
    [("address", "only its address"), ("junk", "cannot be read"), ("huge", "(4097, 8) pixels")],
)
def test_what_is_no_picture_is_the_engines_fault(server: Server, model: str, told: str) -> None:
    answer = ask(server, model)
    assert answer.status_code == 502 and told in answer.json()["error"]["message"]


def test_a_picture_is_changed_by_a_remote_model(server: Server, upstream: Upstream) -> None:
    given, mask = base64.b64decode(picture("JPEG")), base64.b64decode(picture("PNG"))
    with server.client() as http:
        files = {"image": ("mine.jpg", given, "image/jpeg"), "mask": ("mask.png", mask, "image/png")}
        fields = {"model": "png", "prompt": 'make it "red"\r\n--', "size": "64x64"}
        answer = http.post("/v1/images/edits", data=fields, files=files)
    assert answer.status_code == 200, answer.text
    sent = upstream.last("png")
    assert (sent["path"], sent["prompt"], sent["n"]) == ("/v1/images/edits", 'make it "red"\r\n--', "1")
    assert (sent["image"], sent["mask"]) == (given, mask)
    assert base64.b64decode(answer.json()["data"][0]["b64_json"])[:4] == b"\x89PNG"

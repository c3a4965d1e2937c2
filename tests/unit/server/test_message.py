from typing import Any

import msgspec
import pytest

from bottega.core.errors import BudgetExceeded, InvalidValue, NotFound, RateLimited, TooLarge, WrongMethod
from bottega.server.form import read_form
from bottega.server.message import Call, decoded, event
from bottega.server.problem import problem
from bottega.server.routes import Routes
from bottega.server.table import TABLE
from bottega.server.transcripts import captions


def call(path: str = "/", method: str = "GET", chunks: tuple[bytes, ...] = (b"",), **headers: str) -> Call:
    left = [*chunks]

    async def receive() -> dict[str, Any]:
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    heads = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Call(
        {"type": "http", "path": path, "method": method, "headers": heads, "query_string": b"a=1&a=2&b="},
        receive,
    )


class Shape(msgspec.Struct):
    name: str
    counts: list[int] = []


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"{}", "name"), (b'{"name": 1}', "name"), (b'{"name": "x", "counts": [1, "2"]}', "counts[1]"), (b"", "body"),
        (b"{", "body"), (b'{"name": "\xff"}', "body"), (b"[" * 200_000, "body"), (b"3", "body"),
    ],
)  # fmt: skip
def test_a_wrong_body_is_told_by_its_field(body: bytes, where: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        decoded(body, Shape)
    assert refusal.value.where == where
    assert decoded(b'{"name": "x", "unknown": 1}', Shape) == Shape("x")


async def test_a_body_is_bounded_by_what_comes_and_by_what_is_announced() -> None:
    assert await call(chunks=(b"ab", b"c")).body(3) == b"abc"
    with pytest.raises(TooLarge):
        await call(chunks=(b"ab", b"cd")).body(3)
    with pytest.raises(TooLarge):
        await call(chunks=(b"",), content_length="4").body(3)


def test_a_query_and_its_last_value() -> None:
    assert call().query == {"a": "2", "b": ""}


def test_events_are_complete() -> None:
    assert event({"a": 1}) == b'data: {"a":1}\n\n'
    assert event({"a": "\n"}, "x", 7) == b'id: 7\nevent: x\ndata: {"a":"\\n"}\n\n'


def test_routes_are_found_by_path_and_place() -> None:
    routes = Routes(TABLE)
    one = call("/v1/runs/run-1")
    assert routes.find(one).path == "/v1/runs/{run}" and one.at == {"run": "run-1"}
    deep = call("/v1/runs/run-1/files/a/b.md")
    assert routes.find(deep).path == "/v1/runs/{run}/files/{*path}" and deep.at["path"] == "a/b.md"
    named = call("/v1/models/org/model")
    assert routes.find(named).handle.__name__ == "model" and named.at["model"] == "org/model"
    for path in ("/v1/run", "/v1/runs/", "/", "/v1/runs/a/b/c", "/V1/models"):
        with pytest.raises(NotFound):
            routes.find(call(path))
    with pytest.raises(WrongMethod, match="DELETE is not allowed"):
        routes.find(call("/v1/models", "DELETE"))
    assert len({(route.method, route.path) for route in TABLE}) == len(TABLE)


def test_an_error_has_all_four_keys_and_says_when_to_return() -> None:
    reply = problem(RateLimited("too often", retry_after=2.4))
    assert reply.status == 429 and (b"retry-after", b"3") in reply.headers
    said = msgspec.json.decode(problem(BudgetExceeded("used up", where="project:x")).body)["error"]
    assert said == {
        "message": "used up",
        "type": "insufficient_quota",
        "param": "project:x",
        "code": "insufficient_quota",
    }
    other = msgspec.json.decode(problem(NotFound("gone"), "anthropic").body)
    assert other == {"type": "error", "error": {"type": "not_found_error", "message": "gone"}}


FORM = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nsmall\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="../../a.txt"\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b--\r\n'
)


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_a_form_is_read_in_whatever_pieces_it_comes(size: int) -> None:
    chunks = tuple(FORM[at : at + size] for at in range(0, len(FORM), size))
    with await read_form(call(chunks=chunks, content_type="multipart/form-data; boundary=b"), 10_000) as form:
        upload = form.file("file")
        assert form.fields == {"model": "small"} and (upload.name, upload.size) == ("a.txt", 2)
        assert upload.path.read_bytes() == b"hi" and upload.path.parent.name.startswith("bottega-upload-")
        kept = upload.path
    assert not kept.exists()


@pytest.mark.parametrize(
    ("body", "kind"),
    [(FORM[:60], "multipart/form-data; boundary=b"), (FORM, "multipart/form-data"), (FORM, "text/plain"),
     (b"garbage", "multipart/form-data; boundary=b"), (b"--b\r\n" * 200, "multipart/form-data; boundary=b")],
)  # fmt: skip
async def test_what_is_no_form_is_refused(body: bytes, kind: str) -> None:
    with pytest.raises((InvalidValue, TooLarge)):
        await read_form(call(chunks=(body,), content_type=kind), 10_000)
    with pytest.raises(TooLarge):
        await read_form(call(chunks=(FORM,), content_type="multipart/form-data; boundary=b"), 20)


def test_captions() -> None:
    words = [{"word": f"w{n}", "start": n * 0.5, "end": n * 0.5 + 0.4} for n in range(9)]
    assert captions(words, "vtt").splitlines()[:4] == [
        "WEBVTT",
        "",
        "00:00:00.000 --> 00:00:03.900",
        "w0 w1 w2 w3 w4 w5 w6 w7",
    ]
    assert captions(words, "srt").splitlines()[0:2] == ["1", "00:00:00,000 --> 00:00:03,900"]

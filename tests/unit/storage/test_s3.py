"""What is particular to a bucket: its URL, its failures, other people's objects."""

import os
import socket
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from obstore.store import S3Store

from bottega.core.errors import ExtraMissing, InvalidValue, StorageFailed
from bottega.storage.s3 import S3Objects

NAME = "ab" * 32


def objects(url: str) -> S3Objects:
    return S3Objects(url, access_key="key", secret_key="secret")


def plain(bucket: str) -> S3Store:
    """The bucket as others use it."""
    return S3Store.from_url(
        bucket.partition("?")[0],
        endpoint=bucket.partition("endpoint=")[2].partition("&")[0],
        access_key_id="key",
        secret_access_key="secret",
        client_options={"allow_http": True},
    )


@pytest.mark.parametrize(
    "url", ["bucket", "https://host/bucket", "s3://", "s3:///prefix", "s3://bucket?endpont=http://127.0.0.1"]
)
def test_a_url_that_names_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(InvalidValue, match="does not name a bucket"):
        objects(url)


def test_one_of_two_keys_is_refused() -> None:
    with pytest.raises(InvalidValue, match="belong together"):
        S3Objects("s3://bucket", access_key="key")


class Listener(BaseHTTPRequestHandler):
    """Writes down who asks."""

    seen: ClassVar[list[Mapping[str, str]]] = []

    def do_HEAD(self) -> None:
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


def test_given_keys_are_used_as_given_whatever_the_environment_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "environment")
    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"s3://bucket?endpoint=http://127.0.0.1:{server.server_port}"
        S3Objects(url, access_key="mine", secret_key="secret").size(NAME)
        S3Objects(url, access_key="mine", secret_key="secret", session_token="token").size(NAME)
        S3Objects(url).size(NAME)
        server.shutdown()
    seen = [(each["authorization"].partition("Credential=")[2].partition("/")[0], each.get("x-amz-security-token"))
            for each in Listener.seen]  # fmt: skip
    assert seen == [("mine", None), ("mine", "token"), ("environment", "environment")]


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(ExtraMissing, match=r"bottega\[s3\]"):
        objects("s3://bucket")


def test_a_missing_bucket_is_said(s3_server: str, tmp_path: Path) -> None:
    nowhere = objects(f"s3://nowhere?endpoint={s3_server}")
    (tmp_path / "source").write_bytes(b"hello")
    with pytest.raises(StorageFailed, match="no such bucket"):
        nowhere.put(NAME, tmp_path / "source")
    assert (tmp_path / "source").exists()
    with pytest.raises(StorageFailed, match="bucket exists"):
        list(nowhere.list())
    assert nowhere.size(NAME) is None


def test_a_server_that_does_not_answer_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        gone = objects(f"s3://bucket?endpoint=http://127.0.0.1:{taken.getsockname()[1]}")
        (tmp_path / "source").write_bytes(b"hello")
        with pytest.raises(StorageFailed, match="cannot be used") as failed:
            gone.put(NAME, tmp_path / "source")
    assert failed.value.where == "s3://bucket"
    assert "secret" not in str(failed.value)
    assert (tmp_path / "source").exists()


def test_prefixes_keep_stores_apart_and_foreign_objects_are_shown(bucket: str, tmp_path: Path) -> None:
    outer, inner = objects(bucket), objects(bucket.replace("/store/one", "/store/two"))
    for number, each in enumerate((outer, inner)):
        (tmp_path / "source").write_bytes(bytes(number))
        each.put(NAME, tmp_path / "source")
    plain(bucket).put("notes/mine.txt", b"mine")
    assert {each.name: each.size for each in outer.list()} == {NAME: 0, "notes/mine.txt": 4}
    assert {each.name: each.size for each in inner.list()} == {NAME: 1}


def test_an_old_blob_is_sent_again_instead_of_renewed(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = objects(bucket)
    (tmp_path / "source").write_bytes(b"hello")
    place.put(NAME, tmp_path / "source")
    assert place.renew(NAME, 5) is True
    monkeypatch.setattr("bottega.storage.s3.FRESH", -60.0)
    assert place.renew(NAME, 5) is False


def test_a_large_blob_goes_in_parts(bucket: str, tmp_path: Path) -> None:
    place = objects(bucket)
    (tmp_path / "source").write_bytes(os.urandom(17 << 20))
    place.put(NAME, tmp_path / "source")
    assert (
        str(plain(bucket).head(NAME)["e_tag"]).strip('"').endswith("-3")
    )  # S3 writes the number of parts there

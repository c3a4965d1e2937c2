"""Who may be asked for what a user names by URL: judged on a real server, whatever it was called."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bottega.core.errors import BottegaError, InvalidValue, PolicyDenied, TooLarge, TransferFailed
from bottega.governance.fetching import Fetcher, Fetching

SECRET = b"what the inner server knows"


class Inner(BaseHTTPRequestHandler):
    """Serves a secret, and redirects to wherever it is told."""

    asked: int = 0

    def do_GET(self) -> None:
        Inner.asked += 1
        if self.path.startswith("/to="):
            self.send_response(302)
            self.send_header("location", self.path[4:])
            self.end_headers()
            return
        self.send_response(200 if self.path != "/missing" else 404)
        self.send_header("content-type", "text/markdown; charset=utf-8")
        self.send_header("content-length", str(len(SECRET) + (9 if self.path == "/cut" else 0)))
        self.end_headers()
        self.wfile.write(SECRET)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def inner() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Inner)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def fetcher(port: int, *addresses: str, private: tuple[str, ...] = (), **more: Any) -> Fetcher:
    """A fetcher whose resolver says these addresses, one list after the other when they are several."""
    facts: dict[str, Any] = {"hosts": ("*",), "plain": True, "ports": (80, 443, port), "seconds": 5.0, **more}
    policy = Fetching(private=private, **facts)
    answers = [[each] for each in addresses] or [["127.0.0.1"]]

    def resolve(host: str, _: int) -> list[str]:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    return Fetcher(policy, resolve)


def test_what_is_allowed_is_fetched_with_its_media_type(inner: int) -> None:
    found = fetcher(inner, private=("127.0.0.0/8",)).fetch(f"http://files.example:{inner}/to=/a.md")
    assert (found.data, found.media_type) == (SECRET, "text/markdown")
    assert found.url == f"http://files.example:{inner}/a.md"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "192.168.0.9", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2001:0:7f00:1::",
        "2001:db8::1", "fe80::1%eth0",
    ],
)  # fmt: skip
def test_no_form_of_an_inner_address_is_reached(inner: int, address: str) -> None:
    before = Inner.asked
    with pytest.raises(PolicyDenied, match="not public"):
        fetcher(inner, address).fetch(f"http://public.example:{inner}/")
    assert Inner.asked == before


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "[::1]", "[::ffff:7f00:1]"],
)
def test_no_spelling_of_it_helps_with_the_systems_own_resolver(inner: int, host: str) -> None:
    policy = Fetching(hosts=("*",), plain=True, ports=(inner,), seconds=5.0)
    with pytest.raises((PolicyDenied, TransferFailed)):
        Fetcher(policy).fetch(f"http://{host}:{inner}/")


def test_a_redirect_to_an_inner_address_is_refused(inner: int) -> None:
    """The first hop is allowed by its network; the second resolves to another one that is not."""
    one = fetcher(inner, "127.0.0.1", "127.1.1.1", private=("127.0.0.1/32",))
    with pytest.raises(PolicyDenied, match="not public"):
        one.fetch(f"http://a.example:{inner}/to=http://b.example:{inner}/")
    with pytest.raises(PolicyDenied, match="redirects"):
        fetcher(inner, private=("127.0.0.0/8",)).fetch(f"http://a.example:{inner}/to=" * 5 + "/x")
    for elsewhere in ("file:///etc/passwd", "gopher://a.example/", f"http://u:p@a.example:{inner}/"):
        with pytest.raises(PolicyDenied):
            fetcher(inner, private=("127.0.0.0/8",)).fetch(f"http://a.example:{inner}/to={elsewhere}")


def test_a_name_that_resolves_differently_the_second_time_gains_nothing(inner: int) -> None:
    """The address that was judged is the one that is connected to: the name is not looked up again."""
    looked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        looked.append(host)
        return ["192.0.2.1" if len(looked) == 1 else "127.0.0.1"]

    one = Fetcher(Fetching(hosts=("*",), plain=True, ports=(inner,), seconds=0.5), rebinding)
    before = Inner.asked
    with pytest.raises(BottegaError):
        one.fetch(f"http://rebind.example:{inner}/")
    assert looked == ["rebind.example"] and Inner.asked == before


def test_the_peer_of_the_socket_is_judged_too(inner: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lies between: here the system itself connects elsewhere than it was told."""
    import socket

    real = socket.create_connection

    def elsewhere(at: tuple[str, int], timeout: float) -> socket.socket:
        return real(("127.0.0.1", inner), timeout)

    monkeypatch.setattr(socket, "create_connection", elsewhere)
    before = Inner.asked
    with pytest.raises(PolicyDenied, match="not public"):
        fetcher(inner, "93.184.215.14").fetch(f"http://public.example:{inner}/")
    assert Inner.asked == before


def test_nothing_is_fetched_unless_the_operator_says_so(inner: int) -> None:
    with pytest.raises(PolicyDenied, match="not fetched here"):
        Fetcher(Fetching()).fetch("https://example.org/")
    only = Fetching(hosts=("*.example.org",), plain=True)
    for url in ("https://example.com/", "https://example.org.evil.com/", "https://example.org/"):
        with pytest.raises(PolicyDenied, match="from there"):
            Fetcher(only).fetch(url)
    with pytest.raises(PolicyDenied, match="port"):
        Fetcher(Fetching(hosts=("*",))).fetch("https://example.org:22/")
    with pytest.raises(PolicyDenied, match="only https"):
        Fetcher(Fetching(hosts=("*",))).fetch("http://example.org/")
    with pytest.raises(InvalidValue):
        Fetcher(Fetching(hosts=("*",))).fetch("https://example.org/\r\nx: y")


def test_size_and_errors_are_bounded(inner: int) -> None:
    private = ("127.0.0.0/8",)
    with pytest.raises(TooLarge):
        fetcher(inner, private=private, bytes=9).fetch(f"http://a.example:{inner}/")
    for path in ("missing", "cut"):
        with pytest.raises(TransferFailed):
            fetcher(inner, private=private).fetch(f"http://a.example:{inner}/{path}")

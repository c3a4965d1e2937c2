"""The small client against servers that answer in every way that HTTP allows, and in some that it does not."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from bottega.engines import wire as wires
from bottega.engines.wire import Answer, Broken, Stopped, Wire


@asynccontextmanager
async def served(
    *answers: bytes, after: float = 0.0, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[tuple[str, list[int], list[bytes]]]:
    """A server that gives these answers in turn: its URL, which connection each request came on, and the requests."""
    came, asked, left, tasks = list[int](), list[bytes](), [*answers], set[asyncio.Task[None]]()
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        mine = connections
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")
                )
                asked.append(head + await reader.readexactly(length))
                came.append(mine)
                await asyncio.sleep(after)
                answer = left.pop(0)
                writer.write(answer)
                await writer.drain()
                if b"Connection: close" in answer or b"garbage" in answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1?a=b", came, asked
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def post(
    wire: Wire,
    url: str,
    read: float = 5.0,
    stop: Callable[[], bool] = lambda: False,
    take: Callable[[bytes], None] | None = None,
) -> Answer:
    return await wire.post(url, b"A: b\r\n", b"{}", connect=5, read=read, stop=stop, take=take)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


async def test_a_connection_is_kept_and_one_that_was_closed_is_not_used_again() -> None:
    wire = Wire()
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with served(OK, closing, OK) as (url, came, asked):
        for _ in range(3):
            assert (await post(wire, url)).body == b"hi"
        wire.close()
    assert came == [1, 1, 2]
    assert asked[0].startswith(b"POST /v1?a=b HTTP/1.1\r\nHost: 127.0.0.1:") and asked[0].endswith(
        b"\r\n\r\n{}"
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi",  # ends with the connection
    ],
    ids=["chunked", "continue", "until it closes"],
)
async def test_every_way_to_answer(answer: bytes) -> None:
    wire, pieces = Wire(), list[bytes]()
    async with served(answer, answer) as (url, _, _):
        assert (await post(wire, url)).body == b"hi"
        taken = await post(wire, url, take=pieces.append)
        wire.close()
    assert (taken.status, taken.body, b"".join(pieces)) == (200, b"", b"hi")


async def test_a_refusal_is_whole_also_for_who_takes_pieces() -> None:
    wire, pieces = Wire(), list[bytes]()
    async with served(b"HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nlate") as (url, _, _):
        answer = await post(wire, url, take=pieces.append)
        wire.close()
    assert (answer.status, answer.headers[b"retry-after"], answer.body, pieces) == (429, b"7", b"late", [])


@pytest.mark.parametrize(
    "answer", [b"garbage", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhi"]
)
async def test_what_breaks_is_said(answer: bytes) -> None:
    wire = Wire()
    async with served(answer) as (url, _, _):
        with pytest.raises(Broken):
            await post(wire, url)
        wire.close()
    with pytest.raises(Broken):
        await post(wire, "http://127.0.0.1:1/")
    for url in ("http://", "http://a b/", "http://x/\u00fc", "http://x:99999/"):
        with pytest.raises(Broken):
            await post(wire, url)
    wire.close()


async def test_nobody_waits_after_a_stop_or_for_ever() -> None:
    wire = Wire()
    async with served(OK, OK, after=30) as (url, _, _):
        with pytest.raises(Stopped):
            await post(wire, url, stop=lambda: True)
        with pytest.raises(TimeoutError):
            await post(wire, url, read=0.05)
        wire.close()


def certificate(folder: Path) -> Path:
    """A certificate of its own for this address, with its key in the same file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "here")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1)).add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / "certificate.pem"
    path.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return path


async def test_over_tls_only_who_is_trusted_under_the_name_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    path = certificate(tmp_path)
    context.load_cert_chain(path)
    wires._trusted.cache_clear()  # pyright: ignore[reportPrivateUsage]
    wire = Wire()
    async with served(OK, OK, tls=context) as (url, came, _):
        with pytest.raises(Broken, match="SSLCertVerificationError"):
            await post(wire, url)  # nobody knows it
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        wires._trusted.cache_clear()  # pyright: ignore[reportPrivateUsage]
        assert (await post(wire, url)).body == b"hi"
        assert (await post(wire, url)).body == b"hi" and len(set(came)) == 1
        with pytest.raises(Broken, match="SSLCertVerificationError"):
            await post(wire, url.replace("127.0.0.1", "localhost"))  # it is of the address alone
    wires._trusted.cache_clear()  # pyright: ignore[reportPrivateUsage]
    wire.close()

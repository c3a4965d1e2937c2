"""The server's process: one event loop, one service."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bottega.core.errors import InvalidValue
from bottega.engines.base import require
from bottega.server.app import App
from bottega.server.config import Config
from bottega.server.desk import Desk
from bottega.server.table import TABLE
from bottega.service import Bottega

BACKLOG = 2048
REMOTE_AT_ONCE = {  # calls at a time, when nobody says otherwise; each holds its pictures and sound in memory
    "openai_chat": 256, "openai_embeddings": 256, "openai_images": 64, "openai_speech": 64, "openai_transcribe": 8,
}  # fmt: skip
IDLE = 20  # seconds that a connection may idle between two requests
YOUNG = 10_000  # objects that are made before a collection
GRACE = 10  # seconds that calls in hand have to end when the server is asked to


def bind(host: str, port: int) -> socket.socket:
    """The socket that the server listens on; port 0 takes a free one.

    Raises:
        InvalidValue: it is taken, or not ours to take.
    """
    try:
        return socket.create_server(
            (host, port), backlog=BACKLOG, family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        raise InvalidValue(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            where="port",
            remedy="choose another --port",
        ) from error


def run(
    service: Bottega,
    config: Config,
    listener: socket.socket,
    *,
    started: Callable[[], None] = lambda: None,
    certificate: Path | None = None,
    key: Path | None = None,
    proxies: str = "",
) -> None:
    """Serve until SIGINT or SIGTERM; calls in hand get some seconds to end.

    Args:
        service: what answers.
        config: what the operator said.
        listener: the socket, bound.
        started: called when requests are answered.
        certificate: PEM chain for TLS.
        key: its private key.
        proxies: addresses whose forwarding headers are believed, separated by commas.

    Raises:
        ExtraMissing: without the extra ``serve``.
    """
    uvicorn: Any = require("uvicorn", extra="serve")
    logging.getLogger("bottega.server").addHandler(logging.StreamHandler())
    from bottega.server.connection import Connection

    app = App(Desk(service, config, TABLE))
    settings = uvicorn.Config(
        app,
        log_config=None, access_log=False, server_header=False, date_header=False, lifespan="on",
        limit_concurrency=config.connections, timeout_keep_alive=IDLE, timeout_graceful_shutdown=GRACE, http=Connection,
        proxy_headers=bool(proxies), forwarded_allow_ips=proxies or None,
        ssl_certfile=str(certificate) if certificate else None, ssl_keyfile=str(key) if key else None,
    )  # fmt: skip
    server = uvicorn.Server(settings)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, lambda: setattr(server, "should_exit", True))
        serving = asyncio.ensure_future(server.serve(sockets=[listener]))
        await asyncio.wait([serving, asyncio.ensure_future(app.ready.wait())], return_when="FIRST_COMPLETED")
        if app.ready.is_set():
            gc.collect()
            gc.freeze()  # what is here now stays: collections need not look at it
            gc.set_threshold(YOUNG)  # what a call leaves is mostly freed without one
            started()
        await serving

    import uvloop

    uvloop.run(serve())

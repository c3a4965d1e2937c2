"""`bottega serve`."""

from dataclasses import replace
from pathlib import Path

import click

from bottega.cli.brief import release_options


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one."
)
@click.option("--config", type=click.Path(path_type=Path), help="TOML file: models, routes, guards, limits.")
@click.option("--tls-certificate", type=click.Path(path_type=Path), help="PEM chain; with --tls-key.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its private key.")
@click.option("--proxy", "proxies", default="", help="Addresses whose forwarding headers are believed.")
@release_options
def command(
    host: str,
    port: int,
    config: Path | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    proxies: str,
    **release: Path | None,
) -> None:
    """Serve one HTTP API for every modality, in OpenAI's dialect.

    Without any key, one for an administrator is made and printed. Stop it with Ctrl-C or SIGTERM: calls in hand may end.
    """
    from bottega.bootstrap import build
    from bottega.core.errors import InvalidValue
    from bottega.engines.base import require
    from bottega.settings import Settings

    for needed in (
        "uvicorn",
        "uvloop",
        "httptools",
        "joserfc",
        "msgspec",
        "prometheus_client",
        "python_multipart",
    ):
        require(needed, extra="serve")
    from bottega.server.config import read_config
    from bottega.server.serve import REMOTE_AT_ONCE, bind, run

    if (tls_certificate is None) != (tls_key is None):
        raise InvalidValue("a certificate and its key belong together", where="tls-key", remedy="give both")
    said = read_config(config)
    settings = Settings()
    limits = {**REMOTE_AT_ONCE, **settings.limits, **said.at_once}
    service = build(replace(settings, limits=limits), **release)
    try:
        listener = bind(host, port)
        secret = ""
        if not service.keys().all():
            _, secret = service.keys().create("admin", role="admin")
        at = listener.getsockname()
        scheme = "https" if tls_certificate else "http"
        name = f"[{at[0]}]" if ":" in at[0] else at[0]

        def started() -> None:
            if secret:
                click.echo(f"admin key: {secret}")
            click.echo(f"serving {scheme}://{name}:{at[1]}/v1")
            if host not in ("127.0.0.1", "::1", "localhost") and not tls_certificate:
                click.echo(
                    "warning: keys cross the network in the clear; use TLS or a proxy that has it", err=True
                )

        run(
            service,
            said,
            listener,
            started=started,
            certificate=tls_certificate,
            key=tls_key,
            proxies=proxies,
        )
    finally:
        service.close()

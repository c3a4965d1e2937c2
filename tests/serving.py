"""A real server in a process of its own, for tests that speak HTTP to it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from bottega.core.errors import BottegaError
from bottega.server.message import Call
from bottega.server.openapi import described
from bottega.server.routes import Routes
from bottega.server.table import TABLE

START = 60  # seconds that a start may take on a busy machine


def promised(answer: httpx.Response) -> None:
    """Fail when a route answers otherwise than the OpenAPI document says."""
    document, routes = _document()
    scope = {"path": answer.request.url.path, "method": answer.request.method}
    try:
        route = routes.find(Call(scope, _nothing))
    except BottegaError:
        return
    operation = document["paths"][route.path.replace("{*", "{")][route.method.lower()]
    told: dict[str, Any] = operation["responses"][str(answer.status_code)]["content"]
    kind = answer.headers.get("content-type", "").partition(";")[0]
    assert answer.status_code >= 400 or any(fnmatch(kind, each) for each in told), (route.path, kind)
    if kind != "application/json":
        return
    shape = {**told[kind].get("schema", {}), "components": document["components"]}
    for fault in Draft202012Validator(shape).iter_errors(json.loads(answer.read())):
        place = ".".join(map(str, fault.absolute_path))
        raise AssertionError(
            f"{route.method} {route.path} answers otherwise than it says: {place}: {fault.message}"
        )


@cache
def _document() -> tuple[dict[str, Any], Routes]:
    return described(TABLE), Routes(TABLE)


async def _nothing() -> dict[str, Any]:
    raise AssertionError("nothing is received here")


class Server:
    """`bottega serve` on a free port, with a state of its own; its first key is an administrator's."""

    def __init__(
        self, state: Path, *options: str, config: str = "", environment: Mapping[str, str] | None = None
    ) -> None:
        self.state = state
        state.mkdir(parents=True, exist_ok=True)
        if config:
            (state / "server.toml").write_text(config)
            options = (*options, "--config", str(state / "server.toml"))
        command = [sys.executable, "-m", "bottega", "serve", "--port", "0", *options]
        self.environment = {**os.environ, "BOTTEGA_STATE": str(state), **(environment or {})}  # noqa: TID251
        self._log = (state / "server.log").open("a")
        self.process = subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        self.key = ""
        self.url = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.match(r"admin key: (\S+)", line):
                self.key = found[1]
            if found := re.match(r"serving (\S+)/v1", line):
                self.url = found[1]
                break
        assert self.url, (state / "server.log").read_text()

    def client(self, key: str | None = None, **options: Any) -> httpx.Client:
        """A client with a key; the administrator's by default, none with "". Its answers are held to the document."""
        key = self.key if key is None else key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(
            base_url=self.url, headers=headers, timeout=120, trust_env=False, event_hooks={"response": [promised]},
            **options,
        )  # fmt: skip

    def make_key(self, name: str, role: str = "developer", charge: Sequence[str] = (), **more: Any) -> str:
        """Another key's secret."""
        with self.client() as client:
            body = {"name": name, "role": role, "charge": [*charge], **more}
            answer = client.post("/v1/keys", json=body)
            assert answer.status_code == 201, answer.text
            return answer.json()["secret"]

    def log(self) -> str:
        """What it has written to standard error."""
        return (self.state / "server.log").read_text()

    def stop(self) -> int:
        """Ask it to end, and give its exit code."""
        self.process.terminate()
        code = self.process.wait(START)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()
        return code

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait(START)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()

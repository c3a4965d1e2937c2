"""The gateways that are measured, each in a process of its own in front of one compiled upstream."""

import os
import secrets
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EVENTS = 100
TICK = os.sysconf("SC_CLK_TCK")
CONFIG = """
[[models]]
name = "mock"
targets = [{ engine = "openai_chat", model = "mock", params = { base_url = "http://127.0.0.1:%d/v1" } }]
"""
LITELLM = """
model_list:
  - model_name: mock
    litellm_params: {model: openai/mock, api_base: "http://127.0.0.1:%d/v1", api_key: none}
litellm_settings: {callbacks: [], num_retries: 0}
general_settings: {master_key: %s}
"""
NGINX = """
daemon off; worker_processes 1; pid %(place)s/nginx.pid; error_log %(place)s/nginx.log;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path %(place)s/body; proxy_temp_path %(place)s/proxy; fastcgi_temp_path %(place)s/fastcgi;
  uwsgi_temp_path %(place)s/uwsgi; scgi_temp_path %(place)s/scgi;
  upstream mock { server 127.0.0.1:%(upstream)d; keepalive 64; }
  server {
    listen 127.0.0.1:%(port)d;
    location / { proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
  }
}
"""


@dataclass
class Gateway:
    """One process that answers; ``head`` is what it wants to be asked with."""

    name: str
    process: subprocess.Popen[Any]
    url: str
    head: dict[str, str] = field(default_factory=dict[str, str])
    streams: bool = True

    def cpu(self) -> float:
        """Seconds of CPU of the process and all it started."""
        return sum(_cpu(pid) for pid in _family(self.process.pid))

    def memory(self) -> float:
        """Resident memory in MiB."""
        return sum(_resident(pid) for pid in _family(self.process.pid))

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(20)


def upstream(place: Path) -> Gateway:
    """The compiled server that stands behind them all; its port ends its URL."""
    program, at = place / "upstream", free()
    subprocess.run(["cc", "-O2", "-o", program, Path(__file__).parent / "upstream.c"], check=True)
    process = subprocess.Popen([program, str(at), str(EVENTS)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return Gateway("upstream", process, f"http://127.0.0.1:{at}")


def bare(behind: Gateway) -> Gateway:
    """The same server and client as ours, with nothing between them."""
    at = free()
    command = [sys.executable, "-m", "benchmarks.gateway.bare", str(at), behind.url]
    return Gateway("bare pass-through", subprocess.Popen(command), f"http://127.0.0.1:{at}")


def nginx(place: Path, program: Path, behind: Gateway) -> Gateway:
    """A compiled pass-through."""
    at, port = free(), int(behind.url.rpartition(":")[2])
    (place / "nginx.conf").write_text(NGINX % {"place": place, "upstream": port, "port": at})
    command = [program, "-c", place / "nginx.conf", "-p", place]
    return Gateway("nginx pass-through", subprocess.Popen(command), f"http://127.0.0.1:{at}")


def made_key(place: Path, name: str, *more: str) -> str:
    """A key of the server whose state lies there."""
    make = [sys.executable, "-m", "bottega", "keys", "create", "--name", name, *more, "--quiet"]
    environment = {**os.environ, "BOTTEGA_STATE": str(place / "state")}
    return subprocess.run(make, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def ours(place: Path, behind: Gateway | None, config: str = "") -> Gateway:
    """Bottega with a key, a project that pays, and the record on."""
    config = config or (CONFIG % int(behind.url.rpartition(":")[2]) if behind else "")
    (place / "server.toml").write_text(config)
    environment = {**os.environ, "BOTTEGA_STATE": str(place / "state")}
    key = made_key(place, "load", "--charge", "project:load")
    command = [
        sys.executable,
        "-m",
        "bottega",
        "serve",
        "--port",
        "0",
        "--config",
        str(place / "server.toml"),
    ]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = next(line for line in process.stdout if line.startswith("serving ")).split()[1].removesuffix("/v1")
    return Gateway("Bottega: key, budget, record", process, url, {"authorization": f"Bearer {key}"})


def litellm(place: Path, folder: Path, behind: Gateway) -> Gateway:
    """LiteLLM's proxy with one worker and its key check."""
    key, at = f"sk-{secrets.token_hex(16)}", free()
    (place / "litellm.yaml").write_text(LITELLM % (int(behind.url.rpartition(":")[2]), key))
    command = [folder / "bin/litellm", "--config", place / "litellm.yaml", "--port", str(at), "--host", "127.0.0.1",
               "--num_workers", "1"]  # fmt: skip
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    environment.pop("PYTHONPATH", None)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return Gateway("LiteLLM: key", process, f"http://127.0.0.1:{at}", {"authorization": f"Bearer {key}"})


def portkey(folder: Path, behind: Gateway) -> Gateway:
    """Portkey's open gateway; it checks nothing."""
    at = free()
    start = folder / "node_modules/@portkey-ai/gateway/build/start-server.js"
    environment = {**os.environ, "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    process = subprocess.Popen(
        ["node", start, f"--port={at}", "--headless"], env=environment, stdout=subprocess.DEVNULL
    )
    head = {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"{behind.url}/v1",
        "authorization": "Bearer x",
    }
    return Gateway("Portkey", process, f"http://127.0.0.1:{at}", head)


def free() -> int:
    """A port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _family(pid: int) -> list[int]:
    found = [pid]
    for line in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += _family(int(line))
    return found


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024

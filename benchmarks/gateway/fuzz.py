"""``python -m benchmarks.gateway.fuzz [--requests 10000] [--seed 1]``: broken requests of every kind at every route.

Bodies are valid ones with pieces exchanged, cut, nested, doubled or turned into other types, and plain noise; a tenth of the
connections is dropped in the middle of a request or of its answer, some send one byte at a time. No answer may be a 5xx,
the server must still answer afterwards with no more memory than a bound, and its record must verify.
"""

import argparse
import asyncio
import json
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, cast

from benchmarks.gateway.gateways import Gateway, ours, upstream
from benchmarks.gateway.record import verified

CONFIG = """
[[models]]
name = "mock"
targets = [{ engine = "openai_chat", model = "mock", params = { base_url = "http://127.0.0.1:%d/v1", retries = 0 } }]
"""
TURN: Any = {"role": "user", "content": "hello"}
BODIES: dict[str, Any] = {
    "/v1/chat/completions": {
        "model": "mock",
        "messages": [TURN],
        "temperature": 0.5,
        "stop": ["x"],
        "max_tokens": 5,
    },
    "/v1/completions": {"model": "echo", "prompt": "hello", "max_tokens": 5},
    "/v1/responses": {"model": "echo", "input": "hello"},
    "/v1/messages": {"model": "echo", "max_tokens": 5, "messages": [TURN]},
    "/v1/messages/count_tokens": {"model": "echo", "messages": [TURN]},
    "/v1/embeddings": {"model": "potion-base-8m", "input": ["a", "b"]},
    "/v1/score": {"model": "embed", "text_1": "a", "text_2": ["b", "c"]},
    "/v1/tokenize": {"model": "small", "prompt": "hello", "return_token_strs": True},
    "/v1/detokenize": {"model": "small", "tokens": [1, 2]},
    "/v1/images/generations": {"model": "layout", "prompt": "A kettle", "size": "64x64", "seed": 1},
    "/v1/images/edits": {"prompt": "A kettle"},
    "/v1/audio/speech": {"model": "speech", "input": "Hi.", "voice": "af_heart", "response_format": "pcm"},
    "/v1/audio/transcriptions": {"model": "transcribe"},
    "/v1/audio/translations": {"model": "transcribe"},
    "/v1/videos": {"prompt": "Hi."},
    "/v1/batches": {"input_file_id": "file-1", "endpoint": "/v1/embeddings"},
    "/v1/collections/none/search": {"query": "a"},
    "/v1/collections/none/ask": {"question": "a"},
    "/v1/moderations": {"input": "hello"},
    "/v1/rerank": {"model": "nothing", "query": "a", "documents": ["b", "c"]},
    "/v1/briefs": {"goal": "", "sources": ["file-1"]},
    "/v1/plans": {"steps": []},
    "/v1/runs": {"plan": {"steps": [{"id": "a", "engine": "echo"}]}},
    "/v1/keys": {"name": "x", "role": "nobody"},
    "/v1/files": {"purpose": "user_data"},
}
PLACES = ("/v1/models/%s", "/v1/runs/%s", "/v1/runs/%s/files/%s", "/v1/files/%s", "/v1/artifacts/%s", "/v1/responses/%s",
          "/v1/reviews/%s", "/v1/audit?last=%s", "/v1/budgets", "/v1/collections/%s", "/%s")  # fmt: skip
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**63,
    1e308,
    "",
    "\u0000",
    "é" * 3000,
    [],
    {},
    [[]],
    [None],
    "../../etc/passwd",
    "' OR 1=1",
)
AT_ONCE = 16


def main() -> None:
    """Run it and print one line of JSON."""
    options = argparse.ArgumentParser()
    options.add_argument("--requests", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        behind = upstream(place)
        gateway = ours(place, behind, CONFIG % int(behind.url.rpartition(":")[2]))
        try:
            found = asyncio.run(_fuzz(gateway, given.requests, random.Random(given.seed)))
        finally:
            gateway.close()
            behind.close()
        record = verified(place / "state")
    print(json.dumps({**found, "record": record}))
    worst = [status for status in found["answers"] if status.startswith("5")]
    raise SystemExit(1 if worst or not record.startswith("holds") else 0)


async def _fuzz(gateway: Gateway, count: int, chance: random.Random) -> dict[str, Any]:
    answers: Counter[str] = Counter()
    bad: list[str] = []
    room = asyncio.Semaphore(AT_ONCE)
    key = gateway.head["authorization"]
    host, port = gateway.url.removeprefix("http://").split(":")
    before = gateway.memory()

    async def one(number: int) -> None:
        async with room:
            raw, how = _request(chance, key)
            status = await _sent(host, int(port), raw, how, random.Random(number))
            answers[status] += 1
            if status.startswith("5"):
                bad.append(raw[:400].decode("latin-1"))

    for start in range(0, count, 500):
        await asyncio.gather(*(one(number) for number in range(start, min(start + 500, count))))
    body = json.dumps(BODIES["/v1/chat/completions"]).encode()
    last = await _sent(host, int(port), _packed("POST", "/v1/chat/completions", key, body), "whole", chance)
    assert last == "200", f"it no longer answers: {last}"
    return {"requests": count, "answers": dict(sorted(answers.items())), "worst": bad[:5],
            "memory_mib": [round(before, 1), round(gateway.memory(), 1)]}  # fmt: skip


def _request(chance: random.Random, key: str) -> tuple[bytes, str]:
    """A request as it goes out, and how it is sent: whole, slowly, cut, or without waiting for the answer."""
    how = chance.choices(("whole", "slow", "cut", "gone"), (88, 2, 5, 5))[0]
    if chance.random() < 0.25:
        odd = chance.choice(
            ("x", "..", "%00", "%2e%2e%2f", "a" * 3000, "run-0", "file-0", "call-0", "%ff", "🙂")
        )
        path = chance.choice(PLACES)
        method = chance.choice(("GET", "GET", "DELETE", "POST", "PATCH", "HEAD"))
        return _packed(method, path.replace("%s", odd), key, b""), how
    path = chance.choice([*BODIES])
    value = _mutated(json.loads(json.dumps(BODIES[path])), chance)
    body = json.dumps(value).encode()
    match chance.randrange(10):
        case 0:
            body = body[: chance.randrange(len(body) + 1)]
        case 1:
            body = chance.randbytes(chance.randrange(400))
        case 2:
            depth = chance.randrange(1, 4000)
            body = b"[" * depth + b"]" * depth
        case 3:
            body = body.replace(b'"', b"\\ud800", 1)
        case _:
            pass
    return _packed("POST", path, key, body, chance), how


def _mutated(given: Any, chance: random.Random) -> Any:
    """A value with some of its pieces exchanged."""
    value: Any = given
    if chance.random() < 0.15:
        return chance.choice(ODD)
    if isinstance(value, dict):
        made: dict[str, Any] = {
            name: _mutated(each, chance)
            for name, each in cast(dict[str, Any], value).items()
            if chance.random() > 0.05
        }
        if chance.random() < 0.3:
            made[
                chance.choice(
                    ("stream", "n", "seed", "tools", "response_format", "stream_options", "logprobs", "user")
                )
            ] = chance.choice((*ODD, True, 1, {"type": "json_schema"}, [{"type": "function"}]))
        return made
    if isinstance(value, list):
        return [_mutated(each, chance) for each in cast(list[Any], value)] * chance.choice((0, 1, 1, 1, 3))
    return value


def _packed(method: str, path: str, key: str, body: bytes, chance: random.Random | None = None) -> bytes:
    length = len(body)
    kind, coding = "application/json", ""
    if chance is not None:
        kind = chance.choice(
            ("application/json",) * 6
            + ("text/plain", "multipart/form-data", "multipart/form-data; boundary=x")
        )
        key = chance.choice((key,) * 12 + ("", "Bearer x", "Basic eA==", "Bearer " + "k" * 2000))
        coding = chance.choice(
            ("",) * 12 + ("idempotency-key: a\r\n", "content-encoding: gzip\r\n", "last-event-id: -1\r\n")
        )
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: {key}\r\ncontent-type: {kind}\r\n{coding}"
    return f"{head}content-length: {length}\r\nconnection: close\r\n\r\n".encode() + body


async def _sent(host: str, port: int, raw: bytes, how: str, chance: random.Random) -> str:
    """The status of the answer, or how the connection was left."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        if how == "cut":
            writer.write(raw[: chance.randrange(len(raw))])
            await writer.drain()
            return "cut"
        if how == "slow":
            for start in range(min(len(raw), 200)):
                writer.write(raw[start : start + 1])
                await writer.drain()
                await asyncio.sleep(0.001)
            writer.write(raw[min(len(raw), 200) :])
        else:
            writer.write(raw)
        await writer.drain()
        if how == "gone":
            await asyncio.sleep(chance.random() * 0.05)
            return "gone"
        answer = await asyncio.wait_for(reader.read(), 120)
        return answer[9:12].decode("latin-1") or "closed"
    except ConnectionError:
        return "reset"
    except TimeoutError:
        return "5xx: no answer in two minutes"
    finally:
        writer.close()


if __name__ == "__main__":
    main()

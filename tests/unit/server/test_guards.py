"""A guard that fails, blocks: what goes in, what comes out, and a stream before its first word."""

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from bottega.bootstrap import build
from bottega.checks.base import Options, Subject
from bottega.core.errors import PolicyDenied
from bottega.core.request import Delta, Output
from bottega.core.verdict import Verdict
from bottega.pipelines.workshop import Workshop
from bottega.server.chat import checked
from bottega.server.config import Config, Guard
from bottega.server.desk import Desk
from bottega.server.table import TABLE
from bottega.settings import Settings


class Broken:
    """A check whose judge is away."""

    id: ClassVar[str] = "broken"
    media_types: ClassVar[tuple[str, ...]] = ("*/*",)
    options: ClassVar[type[Options]] = Options

    async def judge(self, subject: Subject, options: Options) -> Verdict:
        raise ConnectionError("the judge is away")


class Content(Broken):
    """A check that finds nothing."""

    async def judge(self, subject: Subject, options: Options) -> Verdict:
        return Verdict(check="broken", outcome="pass", reason="nothing found")


def desk_with(check: type[Broken], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    def found(shop: Workshop, name: str) -> Broken:
        return check()

    monkeypatch.setattr(Workshop, "check", found)
    guard = Guard(input={"broken": {}}, output={"broken": {}})
    return Desk(build(Settings(state=folder)), Config(guard=guard), TABLE)


async def outputs() -> AsyncIterator[Output]:
    for _ in range(200):
        yield Delta(text="word ")


async def test_a_guard_that_fails_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = desk_with(Broken, tmp_path, monkeypatch)
    with closing(desk.service):
        with pytest.raises(PolicyDenied, match="'broken' of the input could not decide: ConnectionError"):
            await desk.guards.let_in(b"in", "text/plain")
        with pytest.raises(PolicyDenied, match="'broken' of the output could not decide"):
            await desk.guards.let_out(b"\x89PNG", "image/png")
        heard: list[str] = []
        with pytest.raises(PolicyDenied, match="could not decide"):
            async for piece in checked(desk, outputs()):
                heard.append(str(piece))
        assert heard == []


async def test_a_guard_that_finds_nothing_lets_all_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desk_with(Content, tmp_path, monkeypatch)
    with closing(desk.service):
        await desk.guards.let_in(b"in", "text/plain")
        await desk.guards.let_out(b"\x89PNG", "image/png")
        said = [piece async for piece in checked(desk, outputs())]
        assert "".join(piece.text for piece in said if isinstance(piece, Delta)) == "word " * 200

"""A service over the fake engine, and an engine of somebody else's that a test can change."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from tests.unit.pipelines.conftest import POLICY

from bottega import plugins
from bottega.bootstrap import build
from bottega.core.request import Finished, Output, Request
from bottega.engines.base import Bench, Card, Engine, Params, Port
from bottega.engines.echo import Echo
from bottega.service import Bottega
from bottega.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(home=tmp_path / "home", state=tmp_path / "state", database=database_url)


@pytest.fixture
def start(settings: Settings, tmp_path: Path) -> Iterator[Callable[[], Bottega]]:
    """Begins the service, as another process would; call it again for a new one over the same state."""
    (tmp_path / "policy.toml").write_text(POLICY)
    begun: list[Bottega] = []

    def begin() -> Bottega:
        for each in begun:
            each.close()
        begun[:] = [build(settings, policy=tmp_path / "policy.toml")]
        return begun[0]

    yield begin
    for each in begun:
        each.close()


@pytest.fixture
def service(start: Callable[[], Bottega]) -> Bottega:
    return start()


class Muse(Engine):
    """Says what ``words`` holds, whatever it is asked; every test declares what it promises."""

    words: ClassVar[list[str]] = []
    card: ClassVar[Card] = Card(
        id="muse",
        version="1",
        summary="Says what the test wants",
        modality="text",
        inputs=(Port(name="text", media_types=("*/*",), required=False, many=True),),
        outputs=(Port(name="text", media_types=("text/plain",)),),
        licence="Apache-2.0",
    )
    params: ClassVar[type[Params]] = Echo.params

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        said = self.words.pop(0) if len(self.words) > 1 else self.words[0]
        yield Finished(port="text", media_type="text/plain", data=said.encode())


Promise = Callable[..., type[Muse]]


@pytest.fixture
def muse(monkeypatch: pytest.MonkeyPatch) -> Promise:
    """Puts an engine `muse` among the plug-ins: the words it says one after the other, and what its card declares."""
    known = plugins.load

    def put(*words: str, **card: object) -> type[Muse]:
        facts = {**Muse.card.document(), **card}
        engine = type("Muse", (Muse,), {"words": [*words], "card": Card.model_validate(facts)})

        def load(group: plugins.Group, name: str) -> object:
            return engine if (group, name) == ("bottega.engines", "muse") else known(group, name)

        monkeypatch.setattr(plugins, "load", load)
        return engine

    return put

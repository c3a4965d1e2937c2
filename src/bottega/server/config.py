"""What an operator may say in `serve --config FILE`: models of other servers, routes, limits, guards."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject, Value
from bottega.governance.fetching import Fetching
from bottega.server.oidc import Oidc
from bottega.server.telemetry import Telemetry

Hedge = Annotated[float, Field(ge=0, le=3600)] | Literal["p95"]


class Target(Value, frozen=True):
    """One engine with a model that can answer for a name."""

    engine: str = "language"
    model: str = ""
    params: JsonObject = Field(default_factory=dict, description="parameters that a caller cannot change")
    weight: float = Field(
        default=1.0, ge=0, description="share of the calls; 0 takes none unless others fail"
    )


class Named(Value, frozen=True):
    """A name that callers use as ``model``, and who answers for it: one of ``targets`` by weight, the others if it fails.

    A stream that broke after its first piece is not begun anew: it ends with an error that says so, unless ``continues``.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")
    targets: tuple[Target, ...] = Field(min_length=1)
    retries: int = Field(default=1, ge=0, le=5, description="further attempts at one target, with jitter")
    timeout: float = Field(default=600.0, gt=0, le=86_400, description="seconds for a whole call")
    hedge: Hedge | None = Field(
        default=None,
        description="seconds without a word, or p95 of what calls lately took to it, after which a second target is "
        "asked too; whoever speaks first answers, and what the other used is paid",
    )
    continues: bool = Field(
        default=False,
        description="a chat stream that breaks is continued by the next target from what was said, and says so at its end",
    )
    share: bool = Field(
        default=False,
        description="equal requests of one key's name in flight are made once, where engine and seed make them repeatable",
    )
    cache: bool = Field(default=False, description="as share, also with what was made earlier")


class Guard(Value, frozen=True):
    """Checks on what goes in and on what comes out, by id with their options; what they block is refused."""

    input: dict[str, JsonObject] = Field(default_factory=dict)
    output: dict[str, JsonObject] = Field(default_factory=dict)
    window: int = Field(default=200, ge=20, le=4000, description="characters of a stream that are held back")


class Config(Value, frozen=True):
    """All of the file; every part may be left out."""

    models: tuple[Named, ...] = ()
    guard: Guard = Guard()
    telemetry: Telemetry = Telemetry()
    oidc: Oidc | None = Field(default=None, description="people's tokens, besides keys")
    fetch: Fetching = Field(default=Fetching(), description="what may be fetched that a caller names by URL")
    local_only: bool = Field(default=False, description="refuse engines that send data to another machine")
    engines: tuple[str, ...] = Field(
        default=("*",), description="engines that may be called, as shell patterns"
    )
    requests_per_minute: int = Field(default=0, ge=0, description="of one key; 0: as many as it likes")
    queue: int = Field(default=64, ge=1, description="calls that may wait for one engine")
    urgency: dict[str, Annotated[int, Field(ge=0, le=7)]] = Field(
        default_factory=dict[str, int],
        description="of calls, by shell patterns for a key's name or account, the first that fits: 0 first, 7 last, 3 for all others",
    )
    at_once: dict[str, int] = Field(default_factory=dict, description="calls of one engine at a time")
    connections: int = Field(default=2048, ge=1, description="at a time; a request on a further one gets 503")
    json_bytes: int = Field(default=8 << 20, ge=1024, description="longest JSON body")
    file_bytes: int = Field(default=200 << 20, ge=1024, description="largest uploaded file")
    pixels: int = Field(default=8 << 20, ge=4096, description="largest picture")
    audio_seconds: float = Field(default=3600.0, gt=0, description="longest sound")

    @model_validator(mode="after")
    def _names_differ(self) -> "Config":
        names = [each.name for each in self.models]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise ValueError(f"two models are called '{twice}'")
        return self


def read_config(path: Path | None) -> Config:
    """The file, or what holds without one.

    Raises:
        InvalidValue: it cannot be read, is not TOML, or says something unknown; ``where`` names the place.
    """
    if path is None:
        return Config()
    try:
        return Config.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidValue(
            f"it cannot be read: {error}", where=str(path), remedy="give a TOML file"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(piece) for piece in first["loc"])
        raise InvalidValue(
            first["msg"], where=f"{path}, {place or 'file'}", remedy="mend the file"
        ) from error

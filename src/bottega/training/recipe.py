"""A recipe: which family, on which data, how large, how long. A closed schema; the shipped ones are TOML files."""

import difflib
import tomllib
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from bottega.core.errors import InvalidValue, NotFound
from bottega.core.value import JsonObject, Value

T = TypeVar("T", bound=Value)
FOLDER = Path(__file__).parent / "recipes"


class Fit(Value, frozen=True):
    """How the loop runs."""

    steps: int = Field(gt=0, le=10_000_000)
    batch: int = Field(default=64, gt=0, le=65536)
    shards: int = Field(
        default=1,
        gt=0,
        le=64,
        description="parts of a batch, each with noise of its own, whose gradients are averaged; processes share them",
    )
    optimiser: Literal["adamw", "muon32"] = Field(
        default="adamw",
        description="muon32 is Muon (Jordan 2024), in 32 bits, for matrices and filters, and AdamW for all else",
    )
    rate: float = Field(default=2e-3, gt=0, le=1, description="peak learning rate")
    warmup: int = Field(
        default=20, ge=0, description="steps to the peak; after it the rate falls linearly to 5 %"
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of AdamW, its first beta")
    decay: float = Field(default=0.0, ge=0, le=1, description="weight decay")
    ema: float = Field(
        default=0.99, ge=0, lt=1, description="memory of the averaged weights that are shipped"
    )
    clip: float = Field(default=1.0, gt=0, description="largest norm of a gradient")
    save_every: int = Field(default=100, gt=0)
    validate_every: int = Field(default=0, ge=0, description="steps between validations; 0 never")
    compiled: bool = Field(
        default=False,
        description="whether torch.compile turns the networks into kernels first: minutes that a long run on CUDA earns back",
    )
    patience: int = Field(
        default=0, ge=0, description="validations without a better one before it stops; 0 never"
    )


class Recipe(Value, frozen=True):
    """What is trained. ``model`` is checked by the family; what it leaves out comes from ``depth``."""

    id: str = Field(pattern="^[a-z0-9][a-z0-9.-]{0,63}$")
    summary: str = ""
    family: str
    data: str = Field(description="a data set by name, or a folder or file of one's own")
    depth: int = Field(
        default=2,
        ge=1,
        le=64,
        description="the one dial: width and heads follow from it; ``fit`` is meant for it",
    )
    seed: int = Field(default=0, ge=0, lt=2**53)
    fit: Fit
    model: JsonObject = Field(default_factory=dict)


class Base(Value, frozen=True):
    """The weights that training begins with, and which they were."""

    weights: str = Field(description="model.safetensors of a run")
    sha256: str


def names() -> list[str]:
    """The recipes that ship with Bottega."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_recipe(wanted: str, **given: object) -> Recipe:
    """A shipped recipe by name, or a TOML file; ``given`` values that are not None replace its own.

    At another ``depth`` than its own, batch, rate and steps are what `scaled` makes of them.

    Raises:
        NotFound: no such recipe; names the nearest.
        InvalidValue: not TOML, an unknown key or a wrong value: names the field.
    """
    path = Path(wanted) if wanted.endswith(".toml") else FOLDER / f"{wanted}.toml"
    if not path.is_file():
        near = difflib.get_close_matches(wanted, names(), n=3, cutoff=0.3) or names()
        raise NotFound(f"unknown recipe '{wanted}'", where="recipe", remedy=f"perhaps {' or '.join(near)}")
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidValue(f"not TOML: {error}", where=str(path), remedy="mend the file") from error
    given = {name: value for name, value in given.items() if value is not None}
    if (depth := given.pop("depth", None)) is not None:
        meant = checked(Recipe, document, str(path))
        deeper = checked(Recipe, {**document, "depth": depth}, str(path))
        document = scaled(meant, deeper.depth).document()
    for name, value in given.items():
        group, _, field = name.rpartition("__")  # fit__steps is the field steps of [fit]
        (document.setdefault(group, {}) if group else document)[field] = value
    return checked(Recipe, document, str(path))


def scaled(recipe: Recipe, depth: int) -> Recipe:
    """The recipe at another depth, as long and as fast as that size wants.

    Width and layers both follow from depth, so there are its cube as many weights; examples grow with weights (Hoffmann 2022), batch with depth
    and steps with its square. The rate falls with the root of the width. Rules of thumb: a recipe that was chosen at its size beats them.
    """
    times = depth / recipe.depth
    fit = recipe.fit.model_copy(
        update={
            "batch": max(1, round(recipe.fit.batch * times)),
            "steps": max(1, round(recipe.fit.steps * times**2)),
            "rate": min(1.0, recipe.fit.rate / times**0.5),
        }
    )
    return recipe.model_copy(update={"depth": depth, "fit": fit})


def checked(kind: type[T], document: JsonObject, where: str) -> T:
    """Validate, and say every wrong field in one error.

    Raises:
        InvalidValue: names the fields.
    """
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        wrong = [
            f"unknown key '{'.'.join(map(str, item['loc']))}'"
            if item["type"] == "extra_forbidden"
            else f"{'.'.join(map(str, item['loc'])) or 'file'}: {item['msg']}"
            for item in error.errors()
        ]
        known = ", ".join(kind.model_fields)
        raise InvalidValue("; ".join(wrong), where=where, remedy=f"known keys: {known}") from error

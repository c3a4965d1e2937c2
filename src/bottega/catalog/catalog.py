"""Which models exist, and where their weights lie on this machine."""

import difflib
import shutil
from contextlib import suppress
from pathlib import Path

from bottega.catalog.model import RECEIPT, Model, read_model
from bottega.catalog.receipt import Kept, Receipt, read_receipt, sha256_of
from bottega.core.errors import InvalidValue, NotFound, WeightsMissing

BUILT_IN = Path(__file__).parent / "models"


class Catalog:
    """The models that ship with Bottega and those of ``home/models.d/*.toml``; weights lie in ``home/models``."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._models: tuple[Model, ...] | None = None
        self._hashed: set[str] = set()  # written since they were pulled, and found whole by this process

    def models(self) -> tuple[Model, ...]:
        """Every model, by id. A user's file may replace a built-in model of the same id.

        Raises:
            InvalidValue: a catalog file is wrong, or two models share a name.
        """
        if self._models is None:
            found: dict[str, Model] = {}
            for folder in (BUILT_IN, self.home / "models.d"):
                for path in sorted(folder.glob("*.toml")):
                    model = read_model(path)
                    if model.id != path.stem:
                        raise InvalidValue(
                            f"the file of model '{model.id}' must be named {model.id}.toml", where=str(path)
                        )
                    found[model.id] = model
            _refuse_shared_names(found)
            self._models = tuple(found[name] for name in sorted(found))
        return self._models

    def get(self, name: str) -> Model:
        """A model by id or alias.

        Raises:
            NotFound: names the nearest ones.
        """
        names = {known: model for model in self.models() for known in (model.id, *model.aliases)}
        if name not in names:
            near = [known for known in sorted(names) if name.lower() in known]
            near = near or difflib.get_close_matches(name, names, n=3, cutoff=0.4) or sorted(names)
            raise NotFound(
                f"unknown model '{name}'", remedy=f"perhaps {' or '.join(near)}; see `bottega models`"
            )
        return names[name]

    def folder(self, model: Model) -> Path:
        """Where the model's files lie, or will lie."""
        return self.home / "models" / model.id

    def pulled(self, model: Model) -> bool:
        """Whether the model is here: a receipt for these weights, and every file with its size."""
        folder = self.folder(model)
        receipt = read_receipt(folder)
        return receipt is not None and receipt.digest == model.digest and receipt.complete(folder)

    def path(self, name: str) -> Path:
        """The folder with a model's files. Files that were written since the pull are hashed first.

        Raises:
            NotFound: no such model.
            WeightsMissing: it is not pulled, not whole, or damaged.
        """
        model = self.get(name)
        folder = self.folder(model)
        receipt = self._receipt(model)
        if model.id not in self._hashed and receipt.touched(folder):
            self.verify(model)
            self._hashed.add(model.id)
            with suppress(OSError):  # a cache that may only be read is hashed by every process
                receipt.seen(folder).write(folder)
        return folder

    def digest(self, model: Model) -> str:
        """Digest of the model's weights, the same on every machine."""
        return model.digest

    def verify(self, model: Model) -> None:
        """Hash every file again. A damaged model loses its receipt, so that the next pull mends it.

        What a conversion made is compared with the hash taken when it was made; the rest with the catalog.

        Raises:
            WeightsMissing: it is not pulled, or a file is damaged: names the file, what was expected and found.
        """
        folder = self.folder(model)
        receipt = self._receipt(model)
        pinned = {file.path: file.sha256 for file in model.files}
        for kept in receipt.files:
            expected = pinned.get(kept.path, kept.sha256)
            found = sha256_of(folder / kept.path)
            if found != expected:
                (folder / RECEIPT).unlink(missing_ok=True)
                raise WeightsMissing(
                    f"damaged: SHA-256 is {found}, expected {expected}",
                    where=str(folder / kept.path),
                    remedy=f"bottega pull {model.id}",
                )

    def remove(self, model: Model) -> None:
        """Delete the model's files; the receipt goes first, so that a half-deleted model is never used."""
        folder = self.folder(model)
        (folder / RECEIPT).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    def contents(self, model: Model) -> tuple[Kept, ...]:
        """The files of a pulled model, with sizes in bytes; empty when it is not pulled."""
        receipt = read_receipt(self.folder(model)) if self.pulled(model) else None
        return receipt.files if receipt else ()

    def _receipt(self, model: Model) -> Receipt:
        receipt = read_receipt(self.folder(model)) if self.pulled(model) else None
        if receipt is None:
            raise WeightsMissing(
                f"the weights of '{model.id}' are not on this machine", remedy=f"bottega pull {model.id}"
            )
        return receipt


def _refuse_shared_names(models: dict[str, Model]) -> None:
    owner: dict[str, str] = {}
    for model in models.values():
        for name in (model.id, *model.aliases):
            if name in owner:
                raise InvalidValue(f"the models '{owner[name]}' and '{model.id}' share the name '{name}'")
            owner[name] = model.id

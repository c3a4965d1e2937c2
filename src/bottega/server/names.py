"""Which names callers may give as ``model``, and which engine answers for each."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from bottega import plugins
from bottega.core.errors import NotFound, PolicyDenied
from bottega.pipelines.workshop import Workshop
from bottega.retrieval.embed_step import MODELS as EMBEDDERS
from bottega.server.config import Config, Named, Target

# Catalog models that an engine uses without being told so by name; the first alias of each is short.
BY_ENGINE = {"speech": ("kokoro-82m",), "transcribe": ("whisper-base",), "translate": ("opus-mt-en-fr",)}
ALIASES = {
    "image": "layout"
}  # a name that no catalog model has; a plain thing goes to the model that draws it (`images`)
CHAT = "model.gguf"


class Names:
    """The table of names. A name of the operator's stands before one of the catalog."""

    def __init__(self, shop: Workshop, config: Config) -> None:
        self._shop = shop
        self._config = config
        self._table: dict[str, Named] = {}
        for model in shop.catalog.models():
            engine = next((engine for engine, models in BY_ENGINE.items() if model.id in models), "")
            if model.id in EMBEDDERS:
                engine = "embed"
            elif any(file.path == CHAT for file in model.files):
                engine = "language"
            for name in (model.id, *model.aliases) if engine else ():
                asked = model.id if engine in ("embed", "language") else ""
                self._table[name] = Named(name=name, targets=(Target(engine=engine, model=asked),))
        for name in (*plugins.found("bottega.engines"),):
            if name not in self._table:
                self._table[name] = Named(name=name, targets=(Target(engine=name),))
        for name, engine in ALIASES.items():
            self._table[name] = Named(name=name, targets=(Target(engine=engine),))
        self._table |= {each.name: each for each in config.models}
        self._open: dict[str, bool] = {}  # what the operator lets be called, as far as it was asked

    def all(self) -> list[Named]:
        """Every name that may be called, in order."""
        return [self._table[name] for name in sorted(self._table) if self._allowed(self._table[name])]

    def get(self, name: str, among: Sequence[str] = ()) -> Named:
        """Who answers for a name.

        Args:
            name: as the caller gave it.
            among: engines that can do what is asked.

        Raises:
            NotFound: nobody does, or an engine that does something else.
            PolicyDenied: the operator does not let it be called.
        """
        found = self._table.get(name)
        if found is None:
            able = [each.name for each in self.all() if not among or each.targets[0].engine in among]
            raise NotFound(
                f"unknown model '{name[:128]}'", where="model", remedy=f"one of: {', '.join(able[:20])}"
            )
        if among and not all(target.engine in among for target in found.targets):
            able = [each.name for each in self.all() if each.targets[0].engine in among]
            raise NotFound(
                f"the model '{name}' does something else",
                where="model",
                remedy=f"one of: {', '.join(able[:20])}",
            )
        if not self._allowed(found):
            raise PolicyDenied(
                f"'{name}' may not be called here",
                where="model",
                remedy="the operator decides: engines, local_only",
            )
        return found

    def _allowed(self, named: Named) -> bool:
        if (known := self._open.get(named.name)) is not None:
            return known
        self._open[named.name] = found = all(
            any(fnmatchcase(target.engine, pattern) for pattern in self._config.engines)
            and not (self._config.local_only and self._shop.card(target.engine).locality == "remote")
            for target in named.targets
        )
        return found

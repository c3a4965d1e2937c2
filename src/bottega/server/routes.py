"""A table of routes: exact paths first, then paths with named places."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from bottega.core.errors import NotFound, WrongMethod
from bottega.server.access import Grant
from bottega.server.message import Call, Flow, Reply

Handler = Callable[[Any, Call, Any], Awaitable[Reply | Flow]]


@dataclass(frozen=True)
class Route:
    """One operation. ``body`` is the shape of its JSON body, ``form`` that of the fields of a multipart one, ``gives`` that of its answer.

    ``uploads`` names the files of a form; one that may be left out ends in ``?``.
    """

    method: str
    path: str  # /v1/runs/{id}
    handle: Handler
    grant: Grant | None
    summary: str
    body: Any = None
    form: Any = None
    gives: Any = None
    begins: Any = None  # the shape of an answer 202: the work goes on
    uploads: tuple[str, ...] = ("file",)
    answer: str = "application/json"
    also: tuple[str, ...] = ()  # other media types that it answers with when asked to
    status: int = 200
    dialect: str = ""
    query: tuple[str, ...] = ()
    in_batch: bool = False  # whether lines of a batch may go there
    once: bool = (
        False  # whether its answer is given again under one idempotency key: the handler does not look at it
    )


@dataclass
class Routes:
    """Finds the route of a request."""

    table: tuple[Route, ...]
    _exact: dict[str, dict[str, Route]] = field(default_factory=dict[str, dict[str, Route]])
    _placed: list[tuple[tuple[str, ...], dict[str, Route]]] = field(
        default_factory=list[tuple[tuple[str, ...], dict[str, Route]]]
    )

    def __post_init__(self) -> None:
        for route in self.table:
            if "{" not in route.path:
                self._exact.setdefault(route.path, {})[route.method] = route
                continue
            pieces = tuple(route.path.split("/"))
            known = next((methods for placed, methods in self._placed if placed == pieces), None)
            if known is None:
                known = dict[str, Route]()
                self._placed.append((pieces, known))
            known[route.method] = route

    def find(self, call: Call) -> Route:
        """The route of a call, whose places are filled.

        Raises:
            NotFound: no route has this path.
            WrongMethod: it has other methods.
        """
        path: str = call.scope["path"]
        methods = self._exact.get(path)
        if methods is None:
            methods = self._match(path, call)
        method: str = call.scope["method"]
        route = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
        if route is None:
            allowed = ", ".join(sorted(methods))
            raise WrongMethod(f"{method} is not allowed here", where="method", remedy=f"use {allowed}")
        return route

    def _match(self, path: str, call: Call) -> dict[str, Route]:
        given = path.split("/")
        for pieces, methods in self._placed:
            rest = pieces[-1].startswith("{*")
            if len(given) != len(pieces) and not (rest and len(given) > len(pieces)):
                continue
            at: dict[str, str] = {}
            for index, piece in enumerate(pieces):
                if piece.startswith("{*"):
                    at[piece[2:-1]] = "/".join(given[index:])
                elif piece.startswith("{"):
                    if not given[index]:
                        break
                    at[piece[1:-1]] = given[index]
                elif piece != given[index]:
                    break
            else:
                call.at = at
                return methods
        raise NotFound(f"there is nothing at {path[:200]}", where="path", remedy="see /openapi.json")

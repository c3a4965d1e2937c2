"""Finds engines and checks by entry point; what ships with Bottega loads the same way."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from bottega.core.errors import NotFound

Group = Literal["bottega.engines", "bottega.checks"]


@cache
def found(group: Group) -> dict[str, EntryPoint]:
    """Every plug-in of a group by name, none of them imported yet."""
    return {point.name: point for point in sorted(entry_points(group=group), key=lambda point: point.name)}


def load(group: Group, name: str) -> Any:
    """Import one plug-in.

    Raises:
        NotFound: when no plug-in has this name; names the nearest ones.
    """
    points = found(group)
    if name not in points:
        kind = group.rpartition(".")[2].removesuffix("s")
        raise NotFound(f"unknown {kind} '{name}'", remedy=f"one of: {', '.join(points)}")
    return points[name].load()

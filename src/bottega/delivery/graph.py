"""Places a plan's steps in layers, left to right: a small deterministic Sugiyama layout.

Source: Sugiyama, Tagawa, Toda (1981), with barycentre ordering and dummy nodes on long edges.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

WIDTH, HEIGHT = 148, 46  # of a node, pixels
GAP_X, GAP_Y = 46, 14  # between layers, between nodes of one layer
LANE = 10  # height of a long edge's passage through a layer
MARGIN = 12
SWEEPS = 12

Point = tuple[float, float]


@dataclass(frozen=True)
class Drawing:
    """Node corners (left, top), edges as the points they pass, and the size, all in pixels."""

    nodes: Mapping[str, Point]
    edges: Mapping[tuple[str, str], Sequence[Point]]
    width: float
    height: float


def layout(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> Drawing:
    """Lay out an acyclic graph; equal input gives an equal drawing. Edges to unknown nodes are left out."""
    known = set(nodes)
    links = list(dict.fromkeys(edge for edge in edges if edge[0] in known and edge[1] in known))
    layer = _layers(nodes, links)
    columns: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for node in nodes:
        columns[layer[node]].append(node)
    chains = {link: _chain(link, layer, columns) for link in links}
    after: dict[str, list[str]] = defaultdict(list)
    before: dict[str, list[str]] = defaultdict(list)
    for chain in chains.values():
        for left, right in pairwise(chain):
            after[left].append(right)
            before[right].append(left)
    for sweep in range(SWEEPS):
        _order(columns, before if sweep % 2 == 0 else after, sweep % 2 == 0)
    top = _heights(columns, before, after, known)
    left_of = {
        name: MARGIN + index * (WIDTH + GAP_X) for index, column in enumerate(columns) for name in column
    }
    routes = {link: _route(chain, left_of, top, known) for link, chain in chains.items()}
    bottom = max(
        (top[n] + (HEIGHT if n in known else LANE) for column in columns for n in column), default=0.0
    )
    return Drawing(
        nodes={name: (float(left_of[name]), top[name]) for name in nodes},
        edges=routes,
        width=float(2 * MARGIN + max(0, len(columns) * (WIDTH + GAP_X) - GAP_X)),
        height=bottom + MARGIN,
    )


def _layers(nodes: Sequence[str], links: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Longest path from the left; nodes without inputs then move right, next to what uses them."""
    before: dict[str, list[str]] = defaultdict(list)
    after: dict[str, list[str]] = defaultdict(list)
    for left, right in links:
        before[right].append(left)
        after[left].append(right)
    layer = dict.fromkeys(nodes, 0)
    for _ in nodes:  # as many rounds as the longest path can have; a cycle ends too
        moved = False
        for node in nodes:
            wanted = min(max((layer[p] + 1 for p in before[node]), default=0), len(nodes) - 1)
            moved |= wanted > layer[node]
            layer[node] = max(layer[node], wanted)
        if not moved:
            break
    for node in nodes:
        if not before[node] and after[node]:
            layer[node] = max(0, min(layer[n] for n in after[node]) - 1)
    return layer


def _chain(link: tuple[str, str], layer: Mapping[str, int], columns: list[list[str]]) -> list[str]:
    """The link with a dummy in every layer it crosses; dummies are added to their columns."""
    start, end = link
    dummies = [f"\0{start}\0{end}\0{index}" for index in range(layer[start] + 1, layer[end])]
    for index, dummy in enumerate(dummies, layer[start] + 1):
        columns[index].append(dummy)
    return [start, *dummies, end]


def _order(columns: list[list[str]], near: Mapping[str, list[str]], rightwards: bool) -> None:
    """One barycentre sweep; nodes without neighbours keep their place."""
    indices = range(1, len(columns)) if rightwards else range(len(columns) - 2, -1, -1)
    place = {name: rank for column in columns for rank, name in enumerate(column)}
    for index in indices:
        column = columns[index]
        weight = {
            name: sum(place[other] for other in near[name]) / len(near[name])
            if near.get(name)
            else place[name]
            for name in column
        }
        column.sort(key=lambda name: (weight[name], place[name]))
        place |= {name: rank for rank, name in enumerate(column)}


def _heights(
    columns: list[list[str]],
    before: Mapping[str, list[str]],
    after: Mapping[str, list[str]],
    known: set[str],
) -> dict[str, float]:
    """Tops of all nodes: near the middle of their neighbours, in order, without overlap."""
    tall = {name: float(HEIGHT if name in known else LANE) for column in columns for name in column}
    top: dict[str, float] = {}
    for column in columns:
        at = 0.0
        for name in column:
            top[name] = at
            at += tall[name] + GAP_Y
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wish = {
                name: sum(top[o] + tall[o] / 2 for o in near) / len(near) - tall[name] / 2
                if (near := [*before.get(name, ()), *after.get(name, ())])
                else top[name]
                for name in column
            }
            _separate(column, wish, tall, top)
    least = min(top.values(), default=0.0)
    return {name: round(value - least + MARGIN, 1) for name, value in top.items()}


def _separate(
    column: list[str], wish: Mapping[str, float], tall: Mapping[str, float], top: dict[str, float]
) -> None:
    """Pool adjacent violators: the placement nearest to the wishes that keeps order and gaps."""
    blocks: list[tuple[list[str], float, float]] = []  # names, mean offset-free wish, total height
    for name in column:
        names, mean, length = [name], wish[name], tall[name] + GAP_Y
        while blocks and blocks[-1][1] + blocks[-1][2] > mean:
            older, older_mean, older_length = blocks.pop()
            count = len(older) + len(names)
            mean = (older_mean * len(older) + (mean - older_length) * len(names)) / count
            names, length = older + names, older_length + length
        blocks.append((names, mean, length))
    for names, mean, _ in blocks:
        at = mean
        for name in names:
            top[name] = at
            at += tall[name] + GAP_Y


def _route(
    chain: list[str], left_of: Mapping[str, int], top: Mapping[str, float], known: set[str]
) -> list[Point]:
    points: list[Point] = []
    for name in chain:
        middle = top[name] + (HEIGHT if name in known else LANE) / 2
        if name not in known:
            points += [(float(left_of[name]), middle), (float(left_of[name] + WIDTH), middle)]
        else:
            points.append((float(left_of[name] + (WIDTH if name == chain[0] else 0)), middle))
    return points

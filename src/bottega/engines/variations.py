"""Ports of engines that draw several variations: one PNG that shows them all, and one SVG each."""

from bottega.engines.base import Card, Port


def outputs(card: Card, count: int) -> tuple[Port, ...]:
    """The card's PNG, then ``svg1`` to ``svgN``."""
    drawings = (Port(name=f"svg{n}", media_types=("image/svg+xml",)) for n in range(1, count + 1))
    return (card.outputs[0], *drawings)

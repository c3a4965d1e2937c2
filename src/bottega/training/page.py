"""The live page of a run: its losses as lines, reloaded by the browser while it trains."""

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 720, 200


def page(name: str, metrics: Sequence[Mapping[str, float]], steps: int) -> str:
    """One HTML file without scripts: a chart of every measure, with its last value."""
    names = [key for key in {key: 0 for line in metrics for key in line} if key != "step"]
    charts = "".join(
        _chart(key, [(line["step"], line[key]) for line in metrics if key in line]) for key in names
    )
    step = int(metrics[-1]["step"]) if metrics else 0
    reload = "" if step >= steps else '<meta http-equiv="refresh" content="5">'
    title = f"{escape(name)}: step {step} of {steps}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">{reload}<title>{title}</title>'
        "<style>body{font:16px/1.5 system-ui;max-width:46rem;margin:2rem auto;padding:0 1rem}svg{width:100%}"
        f"polyline{{fill:none;stroke:#0b57d0;stroke-width:2}}</style><h1>{title}</h1>{charts}</html>\n"
    )


def _chart(name: str, points: Sequence[tuple[float, float]]) -> str:
    low, high = min(y for _, y in points), max(y for _, y in points)
    last = max(x for x, _ in points)
    drawn = " ".join(
        f"{WIDTH * x / last:.1f},{HEIGHT - HEIGHT * (y - low) / ((high - low) or 1):.1f}" for x, y in points
    )
    return (
        f"<h2>{escape(name)}: {points[-1][1]:.4g}</h2>"
        f'<svg viewBox="0 -5 {WIDTH} {HEIGHT + 10}" role="img" aria-label="{escape(name)} from {high:.4g} to {low:.4g}">'
        f'<polyline points="{drawn}"/></svg>'
    )

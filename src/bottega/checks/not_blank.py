"""A picture shows something."""

import asyncio
import io
from typing import Any

from pydantic import Field

from bottega.checks.base import Options, Subject
from bottega.core.verdict import Verdict
from bottega.engines.base import require
from bottega.engines.layout.scene import rasterise


class NotBlankOptions(Options, frozen=True):
    """Limits, measured at 256 pixels."""

    entropy: float = Field(
        default=0.25, ge=0, le=8, description="bits of grey below which the picture blocks"
    )
    edges: float = Field(
        default=0.004, ge=0, le=1, description="share of edge pixels below which it is flagged"
    )


class NotBlank:
    """Measures the entropy of the greys, their spread, and the share of pixels on edges."""

    id = "not_blank"
    media_types = ("image/png", "image/jpeg", "image/webp", "image/svg+xml")
    options: type[Options] = NotBlankOptions

    async def judge(self, subject: Subject, options: Options) -> Verdict:
        """Block one colour or next to it; flag a picture without edges."""
        limits = NotBlankOptions.model_validate(options.model_dump())
        entropy, spread, edges = await asyncio.to_thread(_measure, subject)
        evidence = {"entropy": entropy, "spread": spread, "edges": edges}
        if entropy < limits.entropy or spread < 2.5 or edges == 0.0:
            outcome, reason = "block", "the picture is blank, or nearly"
        elif edges < limits.edges:
            outcome, reason = "flag", "the picture has almost no edges"
        else:
            outcome, reason = "pass", "the picture shows something"
        return Verdict.model_validate(
            {
                "check": self.id,
                "outcome": outcome,
                "reason": reason,
                "score": entropy,
                "unit": "bits",
                "evidence": evidence,
            }
        )


def _measure(subject: Subject) -> tuple[float, float, float]:
    images: Any = require("PIL.Image", extra="all")
    filters: Any = require("PIL.ImageFilter", extra="all")
    stat: Any = require("PIL.ImageStat", extra="all")
    data = subject.read()
    if subject.artifact.media_type == "image/svg+xml":
        data = rasterise(data.decode("utf-8"), 256, 256)
    picture: Any = images.open(io.BytesIO(data)).convert("RGBA")
    paper: Any = images.new("RGBA", picture.size, "white")
    paper.alpha_composite(picture)
    grey: Any = paper.convert("L").resize((256, 256), images.Resampling.BOX)
    soft: Any = grey.point([level // 8 * 8 for level in range(256)])
    found: Any = grey.filter(filters.FIND_EDGES).crop((2, 2, 254, 254))
    counts: list[int] = found.histogram()
    edges = sum(counts[24:]) / (252 * 252)
    return round(float(soft.entropy()), 4), round(float(stat.Stat(grey).stddev[0]), 3), round(edges, 5)

"""A trained flow that follows a sketch: its network stays as it was, and a branch beside it learns what lines ask for."""

import base64
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import torch
from PIL import Image
from torch import Tensor

from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject
from bottega.evaluation.judge import seen
from bottega.evaluation.pictures import class_means, frechet, lines_met
from bottega.evaluation.table import CLASSICAL, FLOOR, MODEL, TRIVIAL, Row, Table
from bottega.networks.control import Controlled, outline
from bottega.networks.flow import flow_loss, flow_sample
from bottega.networks.noise import key
from bottega.networks.unet import UNet, channels_last
from bottega.training import checkpoint
from bottega.training.data.base import Data
from bottega.training.families.flow import Flow, FlowConfig
from bottega.training.families.pictures import files, grid, judge_of, picture_batch, png, scaled, wanted
from bottega.training.families.velocity import Velocity
from bottega.training.family import Batch, Export, Made, Nets, Phase, Wish
from bottega.training.recipe import Base

SHOWN = 10  # classes on the sheet of samples
MEASURES = {
    "lines": "F1 of the lines asked for and the lines of the picture, within one pixel; higher is better",
    "FD": "Frechet distance in the 64 features of our judge network, to training pictures; lower is better",
    "accuracy": "share that the judge gives the class they were made as",
}


class SketchConfig(FlowConfig, frozen=True):
    """The flow, and the run that it is."""

    base: Base | None = None


class Sketch(Velocity[SketchConfig]):
    """Noise, a label and lines to a picture; without a base both halves would have to be learnt, so it needs one."""

    config_type = SketchConfig
    needs = frozenset({"images", "bags"})
    exported = False

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """As the flow; a base brings its own size."""
        return Flow.dial(depth)

    @classmethod
    def learn_codec(cls, config: SketchConfig, data: Data) -> JsonObject:
        """Held-out pictures of the first classes, one of each, whose lines are to be shown.

        Raises:
            InvalidValue: there is no base.
        """
        if config.base is None:
            raise InvalidValue(
                "a sketch steers a trained flow", where="from", remedy="give the run of a flow by --from"
            )
        images, bags = data.test["images"], data.test["bags"][:, 0] - 1
        ones = [(data.labels[i], images[bags == i][:1]) for i in range(len(data.labels))]
        kept = [
            (label, base64.b64encode(found.numpy().tobytes()).decode()) for label, found in ones if len(found)
        ]
        return {"shown": dict(kept[:SHOWN])}

    def nets(self) -> Nets:
        """The base and the branch in one."""
        shape, config = self.shape, self.config
        net = UNet(shape["channels"], config.width, shape["words"], config.patch)
        return {"velocity": channels_last(Controlled(net))}

    def start(self, nets: Nets) -> None:
        """The base's weights in both halves, one of them frozen.

        Raises:
            InvalidValue: it is gone, or no longer the one that the run was begun with.
        """
        told = self.config.base
        assert told is not None  # no family is made without, see learn_codec
        path = checkpoint.unchanged(Path(told.weights), told.sha256)
        net = cast(Controlled, nets["velocity"])
        checkpoint.load_nets({"velocity": net.base}, checkpoint.read(path), "net", told.weights)
        net.freeze()

    def finish(self, nets: Nets) -> None:
        """Ship both halves: what is frozen would be left out."""
        nets["velocity"].requires_grad_(True)

    def phases(self) -> tuple[Phase, ...]:
        """Match the velocity, with the picture's own lines beside it."""
        return (Phase("velocity", "velocity", self._loss),)

    def _loss(self, nets: Nets, batch: Batch, generator: torch.Generator) -> Tensor:
        images, bags = batch
        net = partial(nets["velocity"], sketch=outline(images))
        return flow_loss(net, images, bags, generator, self.config.drop)

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Images and labels."""
        return picture_batch(data, size, key)

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """The loss on held-out pictures, without dropping labels."""
        images, bags = scaled(data.test["images"][:256]), data.test["bags"][:256]
        return float(flow_loss(partial(nets["velocity"], sketch=outline(images)), images, bags, key, 0.0))

    def follow(self, net: Callable[..., Tensor], bags: Tensor, lines: Tensor, wish: Wish) -> Tensor:
        """Pictures [N, C, S, S] for labels [N, 1] and lines [N, 1, S, S], 100 at a time."""
        steps, guidance = wish.steps or self.config.steps, wish.guidance or self.config.guidance
        x = self.noise(wish.seed, len(bags))
        parts = [slice(i, i + 100) for i in range(0, len(x), 100)]
        return torch.cat(
            [flow_sample(partial(net, sketch=lines[i]), x[i], bags[i], steps, guidance) for i in parts]
        ).clamp(-1, 1)

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """PNG files that follow the lines of the picture that is given; white on black.

        Raises:
            InvalidValue: no picture is given, or it does not decode.
        """
        lines, bags = self._lines(wish.picture), wanted(wish.prompt, self.labels, wish.count)
        made = self.follow(nets["velocity"], bags, lines.expand(len(bags), -1, -1, -1), wish)
        return files(made, self.labels, bags)

    def _lines(self, picture: bytes) -> Tensor:
        if not picture:
            raise InvalidValue(
                "no sketch", where="picture", remedy="give one by --picture: white lines on black"
            )
        side = self.shape["side"]
        try:
            with Image.open(io.BytesIO(picture)) as image:
                grey = image.convert("L").resize((side, side), Image.Resampling.BOX)
        except OSError as error:
            raise InvalidValue(
                f"the sketch does not decode: {error}", where="picture", remedy="a PNG"
            ) from error
        pixels = torch.frombuffer(bytearray(grey.tobytes()), dtype=torch.uint8)
        return (pixels.view(1, 1, side, side) >= 64).float()

    def show(self, nets: Nets) -> list[Made]:
        """A column for each of the pictures that were kept: itself, its lines, and two pictures that follow those."""
        shown = cast(dict[str, str], self.codec["shown"])
        pixels = torch.frombuffer(
            bytearray(b"".join(map(base64.b64decode, shown.values()))), dtype=torch.uint8
        )
        whole = scaled(pixels.view(len(shown), self.shape["channels"], *2 * [self.shape["side"]]))
        lines, bags = outline(whole), torch.tensor([[self.labels.index(label) + 1] for label in shown])
        made = [self.follow(nets["velocity"], bags, lines, Wish(seed=seed)) for seed in (0, 1)]
        rows = (whole, (2 * lines - 1).expand_as(whole), *made)
        return [Made("sketches.png", "image/png", png(grid(torch.cat(rows), scale=3, columns=len(shown))))]

    def exports(self, nets: Nets) -> dict[str, Export]:
        """The velocity: (x, t, label, lines)."""
        x = self.noise(0, 2)
        inputs = (x, torch.tensor([0.3, 0.7]), torch.tensor([[1], [2]]), outline(x))
        return {"velocity": (nets["velocity"], inputs)}

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """Whether pictures follow the lines of held-out ones, beside the training picture whose lines are nearest."""
        net, judge = cast(Controlled, nets["velocity"]), judge_of(data, home)
        test = scaled(data.test["images"])[: self.config.judged]
        bags = data.test["bags"][: len(test)]
        train, labels = scaled(data.train["images"]), data.train["bags"][:, 0] - 1
        pick = torch.randperm(len(train), generator=key(seed, "baselines"))[:10_000]
        base, lines = seen(judge, train[pick])[0], outline(test)
        known = outline(train[pick]).flatten(1)
        far = torch.cdist(lines.flatten(1), known)
        far[bags != (labels[pick] + 1)[None]] = torch.inf

        def row(kind: str, what: str, images: Tensor) -> Row:
            features, said = seen(judge, images)
            values = {
                "lines": lines_met(outline(images), lines),
                "FD": frechet(base, features),
                "accuracy": float((said == bags - 1).float().mean()),
            }
            return Row(kind=kind, what=what, values=values)

        plain = super().draw(net.base, bags, Wish(seed=seed))
        return Table(
            measures=MEASURES,
            rows=(
                row(FLOOR, "the pictures that the lines were taken from", test),
                row(TRIVIAL, "the mean picture of the class", class_means(train, labels, bags[:, 0] - 1)),
                row(
                    CLASSICAL,
                    "of 10,000 training pictures the one of the class with the nearest lines",
                    train[pick][far.argmin(1)],
                ),
                row(MODEL, "the base, which sees no lines", plain),
                row(
                    MODEL,
                    f"{self.config.steps} steps, guidance {self.config.guidance:g}, with lines",
                    self.follow(net, bags, lines, Wish(seed=seed)),
                ),
            ),
            notes=(f"lines of {len(test)} held-out pictures; seed {seed}",),
        )

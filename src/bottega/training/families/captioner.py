"""Answers to questions about pictures; beside it a network that sees none, to tell how much can be guessed."""

import base64
import io
from collections import Counter, defaultdict
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from pydantic import Field
from torch import Tensor, nn

from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject, Value
from bottega.evaluation.table import CLASSICAL, FLOOR, MODEL, TRIVIAL, Row, Table
from bottega.networks.captioner import Captioner, Looking
from bottega.networks.noise import key
from bottega.networks.preference import supervised_loss
from bottega.networks.transformer import Decoder, generate
from bottega.training.data.base import Data
from bottega.training.data.records import unpacked
from bottega.training.families.answering import joined, picked
from bottega.training.families.pictures import png, scaled
from bottega.training.family import Batch, Export, Family, Made, Nets, Phase, Wish
from bottega.training.tokenizer import Tokenizer

END, ASKED = b"\n", b" "  # of an answer, and between question and answer
SHOWN = 6
NEAREST = 5_000  # training pictures that the classical row looks through


class CaptionerConfig(Value, frozen=True):
    """The size of the network, and how long an answer is."""

    width: int = Field(default=96, ge=8, le=8192, multiple_of=8)
    layers: int = Field(default=3, ge=1, le=128)
    heads: int = Field(default=3, ge=1, le=128)
    length: int = Field(default=12, ge=1, le=4096, description="bytes of an answer at most")
    blind: float = Field(
        default=0.2, gt=0, le=1, description="share of the steps that the blind network learns in"
    )
    judged: int = Field(default=1000, ge=8, description="held-out questions that the table is measured on")


class ReadsPictures(Family[CaptionerConfig]):
    """Pictures and questions to answers, byte by byte."""

    config_type = CaptionerConfig
    needs = frozenset({"images", "prompts", "answers"})

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """One layer and one head of 32 numbers a step of depth."""
        return {"width": 32 * depth, "layers": depth, "heads": depth}

    @classmethod
    def learn_codec(cls, config: CaptionerConfig, data: Data) -> JsonObject:
        """Bytes are tokens; a few held-out pictures with their questions are kept to be shown."""
        images, asked = scaled(data.test["images"][:SHOWN]), unpacked(data.test, "prompts")[:SHOWN]
        shown = [
            {"picture": base64.b64encode(png(image)).decode(), "question": prompt.decode()}
            for image, prompt in zip(images, asked, strict=True)
        ]
        return {"shown": shown}

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Bytes."""
        return Tokenizer({})

    def nets(self) -> Nets:
        """One that sees, and one of the same size that does not."""
        size = (self.tokenizer.size, self.config.width, self.config.layers, self.config.heads)
        shape = self.shape
        seen = Captioner(shape["channels"], shape["high"], shape["wide"], *size)
        return {"captioner": seen, "blind": Decoder(*size)}

    def phases(self) -> tuple[Phase, ...]:
        """Both say the answers; the blind one has learnt soon what there is to guess."""
        return (
            Phase("answer", "captioner", lambda nets, batch, _: _loss(nets["captioner"], batch)),
            Phase(
                "blind",
                "blind",
                lambda nets, batch, _: _loss(nets["blind"], batch[1:]),
                0.0,
                self.config.blind,
            ),
        )

    @lru_cache(maxsize=4)  # noqa: B019 - of this family's data, for as long as it trains
    def _texts(self, data: Data, part: Literal["train", "test"]) -> tuple[list[bytes], list[bytes]]:
        tensors = data.train if part == "train" else data.test
        return unpacked(tensors, "prompts"), unpacked(tensors, "answers")

    def _lines(self, data: Data, part: Literal["train", "test"], pick: list[int]) -> Batch:
        prompts, answers = self._texts(data, part)
        images = (data.train if part == "train" else data.test)["images"][pick]
        heads = [self.tokenizer.encode(prompts[i] + ASKED) for i in pick]
        return scaled(images), *joined(heads, [self.tokenizer.encode(answers[i] + END) for i in pick])

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Images [B, C, H, W], tokens [B, T] of questions and answers, and what of them is answer [B, T - 1]."""
        return self._lines(data, "train", picked(len(data.train["images"]), size, key))

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """Nats a byte of held-out answers."""
        return float(
            _loss(nets["captioner"], self._lines(data, "test", list(range(min(256, data.sizes["test"])))))
        )

    def answers(self, net: nn.Module, images: Tensor, prompts: list[bytes], wish: Wish) -> list[bytes]:
        """What is said about each picture; questions of one length go together, up to 200."""
        found = [b""] * len(prompts)
        for length in sorted({len(prompt) for prompt in prompts}):
            places = [place for place, prompt in enumerate(prompts) if len(prompt) == length]
            for part in (places[i : i + 200] for i in range(0, len(places), 200)):
                heads = torch.stack([self.tokenizer.encode(prompts[i] + ASKED) for i in part])
                look = Looking(net.decoder, net.see(images[part])) if isinstance(net, Captioner) else net
                said = generate(look, heads, self.config.length, key(wish.seed, part[0]), wish.temperature)
                for i, line in zip(part, said, strict=True):
                    found[i] = self.tokenizer.decode(cast(list[int], line.tolist())).partition(END)[0]
        return found

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """One text file: the likeliest answer about the picture to every line of the prompt.

        Raises:
            InvalidValue: there is no picture, or of another size, or no question.
        """
        prompts = [line.encode() for line in wish.prompt.splitlines() if line.strip()]
        if not prompts:
            raise InvalidValue("no question", where="prompt", remedy="ask one, for example: values")
        image = self.picture(wish.picture).expand(len(prompts), -1, -1, -1)
        said = self.answers(nets["captioner"], image, prompts, wish.model_copy(update={"temperature": 0}))
        lines = [prompt + b": " + answer + b"\n" for prompt, answer in zip(prompts, said, strict=True)]
        return [Made("answers.txt", "text/plain", b"".join(lines))]

    def picture(self, file: bytes) -> Tensor:
        """The bytes of a picture as [1, C, H, W] in -1..1.

        Raises:
            InvalidValue: it is none, or of another size than those it learnt from.
        """
        try:
            with Image.open(io.BytesIO(file)) as opened:
                drawn = opened.convert("L" if self.shape["channels"] == 1 else "RGB")
        except (OSError, UnidentifiedImageError) as error:
            raise InvalidValue("no readable picture", where="picture", remedy="give a PNG file") from error
        size = (self.shape["wide"], self.shape["high"])
        if drawn.size != size:
            raise InvalidValue(
                f"a picture of {drawn.width} by {drawn.height}",
                where="picture",
                remedy=f"give {size[0]} by {size[1]}",
            )
        pixels = torch.from_numpy(np.array(drawn)).view(self.shape["high"], self.shape["wide"], -1)
        return scaled(pixels.permute(2, 0, 1)[None])

    def show(self, nets: Nets) -> list[Made]:
        """The pictures that were kept, each with its question and answer."""
        found = list[Made]()
        for i, each in enumerate(self.codec["shown"]):
            file = base64.b64decode(each["picture"])
            (said,) = self.sample(nets, Wish(prompt=each["question"], picture=file))
            found += [Made(f"{i}.png", "image/png", file), Made(f"{i}.txt", said.media_type, said.data)]
        return found

    def exports(self, nets: Nets) -> dict[str, Export]:
        """What it sees, and the decoder after that: (vectors, tokens)."""
        net = cast(Captioner, nets["captioner"])
        images = torch.randn(
            2, *(self.shape[name] for name in ("channels", "high", "wide")), generator=key(0, "export")
        )
        tokens = torch.randint(self.tokenizer.size, (2, 8), generator=key(0, "export", "tokens"))
        return {"sight": (net.see, (images,)), "decoder": (_Says(net), (net.see(images).detach(), tokens))}

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """Exact answers, by kind of question: usual answers, the most similar picture, the blind network, and the one that sees."""
        judged = self.config.judged
        train, known = self._texts(data, "train")
        asked, wanted = (texts[:judged] for texts in self._texts(data, "test"))
        images = scaled(data.test["images"][:judged])
        kinds = [prompt.split()[0].decode() for prompt in asked]

        def row(kind: str, what: str, said: list[bytes]) -> Row:
            right = [one == other for one, other in zip(said, wanted, strict=True)]
            groups: defaultdict[str, list[bool]] = defaultdict(list)
            for name, hit in zip(kinds, right, strict=True):
                groups[name].append(hit)
            values = {"exact": sum(right) / len(right)}
            return Row(kind=kind, what=what, values=values | {n: sum(h) / len(h) for n, h in groups.items()})

        usual: defaultdict[bytes, Counter[bytes]] = defaultdict(Counter)
        for prompt, answer in zip(train, known, strict=True):
            usual[prompt][answer] += 1
        common = [usual[prompt].most_common(1)[0][0] if usual[prompt] else b"" for prompt in asked]
        still = Wish(temperature=0, seed=seed)
        return Table(
            measures={"exact": "share of answers that are right, letter by letter"}
            | {
                name: f"the same of questions that begin so, {kinds.count(name)} of them"
                for name in sorted(set(kinds))
            },
            rows=(
                row(FLOOR, "the records' own answers", wanted),
                row(TRIVIAL, "the most frequent answer to the question", common),
                row(
                    CLASSICAL,
                    "the answer about the nearest picture",
                    _nearest(data, train, known, asked, images),
                ),
                row(CLASSICAL, "the same network, blind", self.answers(nets["blind"], images, asked, still)),
                row(MODEL, "the network that sees", self.answers(nets["captioner"], images, asked, still)),
            ),
            notes=(f"{len(asked)} held-out pictures, one question each",),
        )


def _nearest(
    data: Data, train: list[bytes], known: list[bytes], asked: list[bytes], images: Tensor
) -> list[bytes]:
    """Of training pictures with the same question the one that differs least, pixel by pixel."""
    seen = scaled(data.train["images"][:NEAREST]).flatten(1)
    far = torch.cdist(images.flatten(1), seen)
    found = list[bytes]()
    for prompt, line in zip(asked, far, strict=True):
        same = torch.tensor([other != prompt for other in train[:NEAREST]])
        found.append(known[int(line.masked_fill(same, torch.inf).argmin())])
    return found


def _loss(net: nn.Module, batch: Batch) -> Tensor:
    *images, tokens, mask = batch
    logits = net(*images, tokens[:, :-1]).float()
    logps = -nn.functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
    return supervised_loss(logps, mask)


class _Says(nn.Module):
    """Vectors [B, P, width] and tokens [B, T] -> logits [B, T, vocabulary]."""

    def __init__(self, net: Captioner) -> None:
        super().__init__()
        self.net = net

    def forward(self, seen: Tensor, tokens: Tensor) -> Tensor:
        return self.net.decoder(tokens, before=seen)

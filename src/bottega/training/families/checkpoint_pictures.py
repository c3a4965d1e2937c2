"""A text-to-image checkpoint as Diffusers saves it, adapted by low-rank sums to pictures whose labels are their prompts."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, cast

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor, nn

from bottega.core.errors import ExtraMissing, InvalidValue
from bottega.core.value import JsonObject
from bottega.evaluation.table import Table
from bottega.networks.noise import key, normal
from bottega.storage.disk import whole_folder
from bottega.training import adapters
from bottega.training.checkpoint import read
from bottega.training.data.base import Data
from bottega.training.families.pictures import grid, picture_table, png, scaled, wanted
from bottega.training.families.saved import Saved, SavedConfig
from bottega.training.family import Batch, Export, Made, Nets, Phase, Wish
from bottega.training.folder import RunFolder

PIPELINES = {  # which of what `encode_prompt` gives the denoiser reads: the text, and the pooled text
    "StableDiffusionPipeline": (0,),
    "StableDiffusion3Pipeline": (0, 2),
}
TOGETHER = 8  # pictures that go through the VAE, or are drawn, at once


class PicturesConfig(SavedConfig, frozen=True):
    """A folder with model_index.json, and how pictures are drawn."""

    modules: tuple[str, ...] = Field(default=("attention",), description="which layers of the denoiser")
    steps: int = Field(default=20, ge=1, le=1000, description="of the sampler")
    guidance: float = Field(default=5.0, ge=0, le=20)
    judged: int = Field(default=32, ge=8, description="pictures a row of the table")


class CheckpointPictures(Saved[PicturesConfig]):
    """Learns by the checkpoint's own target: noise, velocity or picture of its schedule, or the flow of its straight paths."""

    config_type = PicturesConfig
    needs = frozenset({"images", "bags"})
    adapts = True
    net = "denoiser"

    @classmethod
    def learn_codec(cls, config: PicturesConfig, data: Data) -> JsonObject:
        """Nothing.

        Raises:
            InvalidValue: no pipeline that can be adapted, or pictures of a size that it has not.
        """
        self = cls(config, data.shape, data.labels, {})
        adapters.chosen(self.nets()["denoiser"], config.modules, config.folder)
        side, unit = data.shape["side"], self._unit
        if side % unit:
            raise InvalidValue(
                f"pictures of {side} pixels a side", where=data.name, remedy=f"a size that divides by {unit}"
            )
        return {}

    @cached_property
    def pipeline(self) -> Any:
        """All of it, frozen; its denoiser is the base's.

        Raises:
            InvalidValue: not a pipeline of ``PIPELINES``, or damaged.
            ExtraMissing: without Diffusers.
        """
        try:
            import diffusers
            from transformers.utils import logging
        except ImportError as error:
            raise ExtraMissing("diffusers is not installed", remedy="pip install 'bottega[image]'") from error
        folder, made = Path(self.config.folder), cast(Any, diffusers)
        made.utils.logging.set_verbosity_error()
        made.utils.logging.disable_progress_bar()
        cast(Any, logging).disable_progress_bar()
        with self._readable():
            kind = str(json.loads((folder / "model_index.json").read_bytes())["_class_name"])
            if kind not in PIPELINES:
                raise ValueError(f"a {kind} is none of {', '.join(PIPELINES)}")
            pipeline = getattr(made, kind).from_pretrained(
                str(folder), use_safetensors=True, local_files_only=True, dtype=torch.float32
            )
        pipeline.set_progress_bar_config(disable=True)
        for part in pipeline.components.values():
            if isinstance(part, nn.Module):
                part.requires_grad_(False).eval()
        return pipeline

    @contextmanager
    def _readable(self) -> Generator[None]:
        try:
            yield
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise InvalidValue(
                f"not a text-to-image checkpoint that can be adapted: {str(error).splitlines()[0]}",
                where=self.config.folder,
                remedy="give a complete folder of Diffusers, in safetensors",
            ) from error

    @cached_property
    def _part(self) -> Literal["unet", "transformer"]:
        return "unet" if hasattr(self.pipeline, "unet") else "transformer"

    @property
    def _base(self) -> Any:
        return getattr(self.pipeline, self._part)

    @property
    def _unit(self) -> int:
        patch = 1 if self._part == "unet" else int(self._base.config.patch_size)
        return int(self.pipeline.vae_scale_factor) * patch

    def nets(self) -> Nets:
        """The denoiser with random weights; ``start`` or the run's own file fill it."""
        return {"denoiser": type(self._base).from_config(self._base.config)}

    def weights(self) -> Mapping[str, Tensor]:
        """The pipeline's own denoiser's."""
        return self._base.state_dict()

    def leave(self, nets: Nets, folder: Path) -> None:
        """``merged/``: a folder that the engine ``image`` runs; ``adapter/``: what ``load_lora_weights`` reads."""
        with whole_folder(folder / "merged") as merged, self._with(nets["denoiser"]) as pipeline:
            pipeline.save_pretrained(str(merged), safe_serialization=True)
        sums = adapters.learnt(read(RunFolder(folder).training_file), "denoiser")
        tensors = adapters.tensors(nets["denoiser"], sums, self.config.rank, f"{self._part}.")
        with whole_folder(folder / "adapter") as adapter:
            (adapter / "pytorch_lora_weights.safetensors").write_bytes(save(tensors, {"format": "pt"}))

    @contextmanager
    def _with(self, net: nn.Module) -> Generator[Any]:
        base = self._base
        setattr(self.pipeline, self._part, net)
        try:
            yield self.pipeline
        finally:
            setattr(self.pipeline, self._part, base)

    def phases(self) -> tuple[Phase, ...]:
        """Predict what the checkpoint predicts."""
        return (Phase("denoise", "denoiser", self._loss),)

    def noised(self, latents: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Noised latents [B, c, h, w], their times [B] and what is to be predicted [B, c, h, w]."""
        scheduler, count = self.pipeline.scheduler, len(latents)
        noise = normal(tuple(latents.shape), generator, latents)
        steps = int(scheduler.config.num_train_timesteps)
        if hasattr(scheduler, "alphas_cumprod"):
            times = torch.randint(steps, (count,), generator=generator).to(latents.device)
            kept = scheduler.alphas_cumprod.to(latents)[times].view(-1, 1, 1, 1)
            signal, spread = kept.sqrt(), (1 - kept).sqrt()
            targets = {
                "epsilon": noise,
                "v_prediction": signal * noise - spread * latents,  # Salimans 2022
                "sample": latents,
            }
            return signal * latents + spread * noise, times, targets[scheduler.config.prediction_type]
        share = torch.randn(count, generator=generator).sigmoid()  # Esser 2024
        shift = float(scheduler.config.shift)
        share = (shift * share / (1 + (shift - 1) * share)).to(latents.device)
        mixed = torch.lerp(latents, noise, share.view(-1, 1, 1, 1))
        return mixed, share * steps, noise - latents

    def _loss(self, nets: Nets, batch: Batch, generator: torch.Generator) -> Tensor:
        latents, *read = batch
        mixed, times, target = self.noised(latents, generator)
        said = Denoiser(nets["denoiser"].eval())(mixed, times, *read)
        return nn.functional.mse_loss(said.float(), target)

    @lru_cache(maxsize=4)  # noqa: B019 - of this family's data, for as long as it trains
    def _encoded(self, data: Data, part: Literal["train", "test"]) -> tuple[Tensor, Tensor]:
        """Mean and deviation of every picture's latents, [N, c, h, w]."""
        images: Tensor = (data.train if part == "train" else data.test)["images"]
        with torch.no_grad():
            found = [
                self.pipeline.vae.encode(_coloured(scaled(images[i : i + TOGETHER]))).latent_dist
                for i in range(0, len(images), TOGETHER)
            ]
        return torch.cat([each.mean for each in found]), torch.cat([each.std for each in found])

    @lru_cache(maxsize=4)  # noqa: B019 - of this family's data, for as long as it trains
    def _prompts(self, data: Data) -> tuple[Tensor, ...]:
        """What the denoiser reads of each label, [labels, ...]; the text encoder sees a label once."""
        with torch.no_grad():
            said = [self._read(label) for label in data.labels]
        return tuple(torch.cat(parts) for parts in zip(*said, strict=True))

    def _read(self, prompt: str) -> tuple[Tensor, ...]:
        said = self.pipeline.encode_prompt(
            prompt=prompt,
            device=torch.device("cpu"),
            num_images_per_prompt=1,
            do_classifier_free_guidance=False,
            **({"prompt_2": None, "prompt_3": None} if self._part == "transformer" else {}),
        )
        return tuple(said[place] for place in PIPELINES[type(self.pipeline).__name__])

    def _drawn(self, data: Data, part: Literal["train", "test"], pick: Tensor, key: torch.Generator) -> Batch:
        means, spreads = self._encoded(data, part)
        latents = means[pick] + spreads[pick] * torch.randn(means[pick].shape, generator=key)
        config = self.pipeline.vae.config
        latents = (latents - (config.get("shift_factor") or 0.0)) * config.scaling_factor
        labels = (data.train if part == "train" else data.test)["bags"][pick, 0] - 1
        return (latents, *(each[labels] for each in self._prompts(data)))

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Latents [B, c, h, w] drawn from what the VAE says, and what the denoiser reads of the labels."""
        pick = torch.randint(len(data.train["images"]), (size,), generator=key)
        return self._drawn(data, "train", pick, key)

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """The loss on held-out pictures."""
        pick = torch.arange(min(32, len(data.test["images"])))
        return float(self._loss(nets, self._drawn(data, "test", pick, key), key))

    def draw(self, net: nn.Module, prompts: list[str], wish: Wish) -> Tensor:
        """A picture for each prompt, [N, 3, side, side] in -1..1, from noise of its own."""
        found: list[Tensor] = []
        with self._with(net) as pipeline:
            for begin in range(0, len(prompts), TOGETHER):
                some = prompts[begin : begin + TOGETHER]
                made = pipeline(
                    some,
                    height=self.shape["side"],
                    width=self.shape["side"],
                    num_inference_steps=wish.steps or self.config.steps,
                    guidance_scale=wish.guidance or self.config.guidance,
                    generator=[key(wish.seed, begin + i) for i in range(len(some))],
                    output_type="pt",
                )
                found.append(made.images.float() * 2 - 1)
        return torch.cat(found)

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """PNG files of the prompt, in any words; without one, of all labels in turn."""
        named = [self.labels[int(i) - 1] for i in wanted("", self.labels, wish.count)[:, 0]]
        drawn = self.draw(nets["denoiser"], [wish.prompt] * wish.count if wish.prompt else named, wish)
        return [Made(f"{i:03d}.png", "image/png", png(image)) for i, image in enumerate(drawn)]

    def show(self, nets: Nets) -> list[Made]:
        """A grid: a column for each label, of eight at most."""
        labels = list(self.labels[:8])
        drawn = self.draw(nets["denoiser"], labels * 2, Wish())
        return [Made("grid.png", "image/png", png(grid(drawn, scale=1, columns=len(labels))))]

    def exports(self, nets: Nets) -> dict[str, Export]:
        """The denoiser: (latents, times, what it reads of the prompts)."""
        side = self.shape["side"] // int(self.pipeline.vae_scale_factor)
        shape = (2, int(self.pipeline.vae.config.latent_channels), side, side)
        with torch.no_grad():
            read = tuple(each.repeat(2, *(1 for _ in each.shape[1:])) for each in self._read(self.labels[0]))
        inputs = (torch.randn(shape, generator=key(0, "export")), torch.tensor([3.0, 7.0]), *read)
        return {"denoiser": (Denoiser(nets["denoiser"]), inputs)}

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """The table of pictures, with what the checkpoint made of the labels before."""
        base = self.nets()
        self.before(base)
        grey = data.shape["channels"] == 1

        def maker(net: nn.Module):
            def make(classes: Tensor) -> Tensor:
                drawn = self.draw(net, [data.labels[int(i) - 1] for i in classes[:, 0]], Wish(seed=seed))
                return drawn.mean(1, keepdim=True) if grey else drawn

            return make

        how = f"{self.config.steps} steps, guidance {self.config.guidance:g}"
        models = {
            f"before: {how}": maker(base["denoiser"].eval()),
            f"after, rank {self.config.rank}: {how}": maker(nets["denoiser"]),
        }
        return picture_table(data, home, seed, models, self.config.judged)


class Denoiser(nn.Module):
    """Latents [B, c, h, w], times [B], text [B, T, D], for some the pooled text [B, P] -> the prediction [B, c, h, w]."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, latents: Tensor, times: Tensor, text: Tensor, pooled: Tensor | None = None) -> Tensor:
        """One pass."""
        more = {} if pooled is None else {"pooled_projections": pooled}
        return self.net(latents, timestep=times, encoder_hidden_states=text, return_dict=False, **more)[0]


def _coloured(images: Tensor) -> Tensor:
    """[N, 1 or 3, H, W] -> [N, 3, H, W]."""
    return images.expand(-1, 3, -1, -1)

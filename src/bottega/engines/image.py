"""Text to image through diffusers, from a local folder of safetensors."""

import asyncio
import inspect
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from bottega.core.errors import BottegaError, EngineFailed
from bottega.core.request import Finished, Output, Progress, Request, Usage
from bottega.core.value import JsonObject
from bottega.engines.base import GENERATED, Bench, Card, Engine, Estimate, Params, Port, require


class ImageParams(Params, frozen=True):
    """What to draw, and how hard to try."""

    prompt: str = Field(min_length=1, max_length=2000, description="what the picture shows")
    negative_prompt: str = Field(default="", max_length=1000, description="what it must not show")
    width: int = Field(default=512, ge=16, le=2048, multiple_of=8, description="pixels")
    height: int = Field(default=512, ge=16, le=2048, multiple_of=8, description="pixels")
    steps: int = Field(default=20, ge=1, le=200, description="denoising steps")
    guidance: float = Field(default=5.0, ge=0, le=30, description="classifier-free guidance scale")


class Image(Engine):
    """Runs any diffusers text-to-image pipeline; the folder's ``model_index.json`` says which."""

    card: ClassVar[Card] = Card(
        id="image",
        version="1",
        summary="Text to image with a diffusion model",
        modality="image",
        outputs=(Port(name="png", media_types=("image/png",)),),
        reads_names=False,
        licence="Apache-2.0",
        determinism="seeded",
        extra="image",
        isolation="process",
        source_type=GENERATED,
        not_covered="pipelines that need their own code; weights that are not safetensors",
    )
    params: ClassVar[type[Params]] = ImageParams

    def __init__(self) -> None:
        self._loaded: tuple[Path, Any] | None = None

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield one `Progress` a step, then the picture."""
        params = ImageParams.model_validate(request.params)
        if not request.model:
            raise EngineFailed(
                "no model is named", where="image", remedy="set `model` to a text-to-image model"
            )
        folder = bench.weights(request.model)
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[Progress | None]()

        def work() -> bytes:
            try:
                pipeline = self._load(folder, bench.threads)
                return _draw(pipeline, params, request.seed or 0, bench, report)
            finally:
                loop.call_soon_threadsafe(queue.put_nowait, None)

        def report(step: int) -> None:
            said = Progress(
                fraction=min(1.0, (step + 1) / params.steps), note=f"step {step + 1} of {params.steps}"
            )
            loop.call_soon_threadsafe(queue.put_nowait, said)

        bench.check_cancelled()
        task = asyncio.create_task(asyncio.to_thread(work))
        while (said := await queue.get()) is not None:
            yield said
        png = await task
        details: JsonObject = {
            "width": params.width,
            "height": params.height,
            "prompt": params.prompt,
            "texts": [],
        }
        yield Usage(output_units=params.steps, unit="step")
        yield Finished(port="png", media_type="image/png", data=png, details=details)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """About 6 s a step at 512 by 512 for a model of 900 M parameters on two cores."""
        if not isinstance(params, ImageParams):
            return Estimate(seconds=120.0)
        return Estimate(seconds=5 + 6.0 * params.steps * params.width * params.height / 512**2)

    def close(self) -> None:
        """Give the memory back."""
        self._loaded = None

    def _load(self, folder: Path, threads: int) -> Any:
        if self._loaded is None or self._loaded[0] != folder:
            torch: Any = require("torch", extra="image")
            diffusers: Any = require("diffusers", extra="image")
            damaged: Any = require("safetensors", extra="image").SafetensorError
            if not (folder / "model_index.json").is_file():
                raise EngineFailed(
                    "this is not a diffusers folder", where=folder.name, remedy="it needs model_index.json"
                )
            torch.set_num_threads(threads)
            diffusers.utils.logging.set_verbosity_error()
            diffusers.utils.logging.disable_progress_bar()
            try:
                pipeline: Any = diffusers.DiffusionPipeline.from_pretrained(
                    str(folder), use_safetensors=True, local_files_only=True, dtype=torch.float32
                )
            except (OSError, ValueError, damaged) as error:
                raise EngineFailed(
                    f"the model does not load: {error}",
                    where=folder.name,
                    remedy="it must be complete, in safetensors",
                ) from error
            pipeline.set_progress_bar_config(disable=True)
            self._loaded = (folder, pipeline)
        return self._loaded[1]


def _draw(pipeline: Any, params: ImageParams, seed: int, bench: Bench, report: Any) -> bytes:
    torch: Any = require("torch", extra="image")

    def after_step(_: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        report(step)
        bench.check_cancelled()
        return tensors

    takes = inspect.signature(pipeline.__call__).parameters
    options: dict[str, Any] = {
        "prompt": params.prompt,
        "negative_prompt": params.negative_prompt or None,
        "width": params.width,
        "height": params.height,
        "num_inference_steps": params.steps,
        "guidance_scale": params.guidance,
        "generator": torch.Generator("cpu").manual_seed(seed),
        "callback_on_step_end": after_step,
    }
    try:
        result: Any = pipeline(**{name: value for name, value in options.items() if name in takes})
    except BottegaError:
        raise
    except (ValueError, RuntimeError) as error:
        raise EngineFailed(f"the model cannot draw this: {error}", where="image") from error
    out = io.BytesIO()
    result.images[0].save(out, "PNG")
    return out.getvalue()

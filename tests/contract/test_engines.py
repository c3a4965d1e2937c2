"""What every engine keeps, whoever wrote it: found by entry point, light to import, described, exact as declared."""

import base64
import io
import json
import struct
import subprocess
import sys
import threading
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.unit.training.conftest import squares
from tests.upstream import Upstream, says

from bottega.core.artifact import Artifact
from bottega.core.canonical import canonical_json, digest_bytes
from bottega.core.errors import BottegaError, Cancelled
from bottega.core.request import Finished, Part, Progress, Request
from bottega.engines.base import Bench, Card, Engine, Params
from bottega.plugins import found, load
from bottega.retrieval.chunk import Block, compose
from bottega.retrieval.document import dump

ENGINES = sorted(found("bottega.engines"))
HEAVY = (
    "torch",
    "onnxruntime",
    "xllamacpp",
    "numpy",
    "PIL",
    "ctranslate2",
    "duckdb",
    "typst",
    "httptools",
    "httpx",
    "diffusers",
)
CSV = "model,price\nA,10\nB,20\n"
PASSAGES = {
    "query": "weight",
    "passages": [
        {"id": "a#1", "source": "a", "sha256": "0" * 64, "page": 1, "start": 0, "end": 24, "text": "The lamp weighs 1.7 kg."}
    ],
}  # fmt: skip
DRAFT = {"items": [{"question": "How heavy is the lamp?", "answer": "The lamp weighs 1.7 kg."}]}
QUOTE = {
    "passage": "a#1",
    "source": "a",
    "page": 1,
    "start": 0,
    "end": 23,
    "quote": "The lamp weighs 1.7 kg.",
    "score": 1.0,
}
CITED = {"items": [{**DRAFT["items"][0], "citations": [QUOTE]}]}
TIMINGS = {"sample_rate": 24000, "duration": 1.0, "segments": [{"start": 0.1, "end": 0.9, "text": "Hello."}]}


@dataclass(frozen=True)
class Given:
    """What a sample may use: a store for files and places that only exist while the tests run."""

    store: Callable[[bytes | str, str], Artifact]
    base_url: str

    def part(self, port: str, content: bytes | str | object, media_type: str = "application/json") -> Part:
        data = content if isinstance(content, bytes | str) else json.dumps(content)
        return Part(port=port, name=port, artifact=self.store(data, media_type))


def tone(seconds: float) -> bytes:
    """A triangle wave at 16 kHz."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        samples = (abs(n % 80 - 40) * 300 - 6000 for n in range(int(seconds * 16000)))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return buffer.getvalue()


def picture() -> bytes:
    from PIL import Image, ImageDraw, ImageFont

    made = Image.new("RGB", (320, 180), "white")
    ImageDraw.Draw(made).text((20, 60), "HELLO", fill="black", font=ImageFont.load_default(48))
    buffer = io.BytesIO()
    made.save(buffer, "PNG")
    return buffer.getvalue()


def source() -> bytes:
    text = "The kettle boils water in ninety seconds and the warranty lasts for 24 months."
    return dump(compose("a.md", "0" * 64, "text/markdown", [[Block("Kettle", "heading", 1), Block(text)]]))


Sample = Callable[[Given], tuple[Sequence[Part], dict[str, Any]]]
SAMPLES: dict[str, Sample] = {
    "chart": lambda given: ([given.part("table", CSV, "text/csv")], {"x": "model", "y": ["price"]}),
    "answer": lambda given: (
        [given.part("passages", PASSAGES, PASSAGES_TYPE)], {"question": "What does the lamp weigh in kg?"}
    ),
    "classify": lambda given: (
        [given.part("text", "The lamp is broken.", "text/plain")], {"labels": [{"name": "defect"}, {"name": "price"}]}
    ),
    "cite": lambda given: ([given.part("draft", DRAFT), given.part("passages", PASSAGES, PASSAGES_TYPE)], {}),
    "compose": lambda given: ([given.part("data", {"name": "Halo"})], {"template": "# {{ data[0].name }}"}),
    "document": lambda given: ([given.part("text", "# Halo\n\nA lamp.\n", "text/markdown")], {}),
    "drawing": lambda given: ([], {"prompt": "user plus", "width": 48, "height": 48, "tries": 2}),
    "echo": lambda given: ([given.part("text", "hello", "text/plain")], {"text": "you"}),
    "entail": lambda given: (
        [given.part("cited", CITED), given.part("passages", PASSAGES, PASSAGES_TYPE)], {"unsupported": "flag"}
    ),
    "embed": lambda given: ([given.part("text", "A lamp.", "text/plain")], {"texts": ["A kettle."]}),
    "extract": lambda given: (
        [given.part("text", "A lamp of 5 W.", "text/plain")],
        {"json_schema": {"type": "object", "properties": {"watts": {"enum": [5, 6]}}}},
    ),
    "icons": lambda given: ([], {"words": ["water", "energy", "time"], "source": "designed"}),
    "image": lambda given: ([], {"prompt": "a lamp", "width": 64, "height": 64, "steps": 2}),
    "language": lambda given: ([given.part("text", "A lamp.", "text/plain")], {"prompt": "Name it.", "max_tokens": 6}),
    "layout": lambda given: ([], {"title": "Warm light", "width": 640, "height": 360}),
    "lookup": lambda given: (
        [given.part("tables", CSV, "text/csv")], {"query": {"table": "tables", "select": [{"column": "price"}]}}
    ),
    "ocr": lambda given: ([given.part("image", picture(), "image/png")], {}),
    "openai_chat": lambda given: ([], {"prompt": "Say hello.", "base_url": given.base_url}),
    "openai_embeddings": lambda given: (
        [given.part("text", "A lamp.", "text/plain")], {"texts": ["A kettle."], "base_url": given.base_url}
    ),
    "openai_images": lambda given: ([], {"prompt": "a lamp", "base_url": given.base_url}),
    "openai_speech": lambda given: ([given.part("script", "Hello.", "text/plain")], {"base_url": given.base_url}),
    "openai_transcribe": lambda given: (
        [given.part("audio", tone(1.0), "audio/wav")], {"language": "en", "base_url": given.base_url}
    ),
    "pictogram": lambda given: ([], {"prompt": "a heart", "count": 2, "tries": 2, "width": 128, "height": 64, "steps": 2}),
    "record": lambda given: ([given.part("draft", {"name": "Halo"})], {
        "json_schema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    }),
    "rewrite": lambda given: (
        [given.part("text", "# Lamp\n\nPlease note that this lamp gives a light that is warm.\n", "text/markdown")],
        {"level": "plain"},
    ),
    "search": lambda given: ([given.part("sources", source(), DOCUMENT_TYPE)], {"query": "warranty"}),
    "speech": lambda given: ([given.part("script", "Hello.", "text/plain")], {}),
    "summarise": lambda given: (
        [given.part("text", "This lamp gives warm light. It costs little.", "text/plain")], {"sentences": 1}
    ),
    "table": lambda given: ([given.part("tables", CSV, "text/csv")], {}),
    "tokens": lambda given: ([], {"text": "A lamp gives warm light."}),
    "trained": lambda given: ([], {}),
    "transcribe": lambda given: ([given.part("audio", tone(1.0), "audio/wav")], {"language": "en"}),
    "translate": lambda given: ([given.part("text", "# A lamp\n", "text/markdown")], {}),
    "video": lambda given: (
        [
            given.part("scenes", picture(), "image/png"),
            given.part("audio", tone(1.0), "audio/wav"),
            given.part("timings", TIMINGS),
        ],
        {"width": 320, "height": 240},
    ),
}  # fmt: skip
PASSAGES_TYPE = "application/vnd.bottega.passages+json"
DOCUMENT_TYPE = "application/vnd.bottega.document+json"
MODELS = {
    "answer": "smollm2-135m-instruct",
    "classify": "potion-base-8m",
    "entail": "smollm2-135m-instruct",
    "extract": "smollm2-135m-instruct",
    "image": "tiny",
    "language": "smollm2-135m-instruct",
    "openai_chat": "any",
    "openai_embeddings": "any",
    "openai_images": "a picture",
    "openai_speech": "a voice",
    "openai_transcribe": "an ear",
    "rewrite": "qwen2.5-coder-1.5b-instruct",
    "summarise": "potion-base-8m",
    "trained": "a-run",
}


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """A server that says hello: the protocol is tested elsewhere, on llama.cpp's own."""
    drawn = {"data": {"data": [{"b64_json": base64.b64encode(picture()).decode()}]}}
    heard = {"text": "Hello.", "words": [{"word": "Hello.", "start": 0.1, "end": 0.5}]}
    upstream = Upstream(
        script={
            "any": [says("Hello.")],
            "a picture": [drawn],
            "a voice": [{"sound": tone(0.2)}],
            "an ear": [{"data": heard}],
        }
    )
    yield upstream.url
    upstream.close()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A diffusion pipeline with random weights, built when it is first wanted."""
    folder = tmp_path_factory.mktemp("models") / "tiny"

    def build() -> Path:
        if not folder.exists():
            from tests.text_to_image import stable_diffusion  # imports torch

            stable_diffusion(folder)
        return folder

    return build


@pytest.fixture(scope="module")
def a_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A flow that was trained for two steps on squares."""
    folder = tmp_path_factory.mktemp("trained")

    def build() -> Path:
        from bottega.training.recipe import Fit, Recipe
        from bottega.training.runs import train

        if not (folder / "run").exists():
            data = str(squares(folder / "squares"))
            recipe = Recipe(
                id="tiny", family="flow", data=data, fit=Fit(steps=2), model={"width": 8, "steps": 2}
            )
            train(recipe, folder / "run", folder, evaluates=False)
        return folder / "run"

    return build


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, Engine]]:
    """Engines that already ran, so that weights are loaded once."""
    made: dict[str, Engine] = {}
    yield made
    for engine in made.values():
        engine.close()


@pytest.fixture
def request_for(
    store_file: Callable[[bytes | str, str], Artifact], base_url: str
) -> Callable[[str], Request]:
    def make(name: str) -> Request:
        parts, params = SAMPLES[name](Given(store_file, base_url))
        return Request(engine=name, model=MODELS.get(name, ""), parts=tuple(parts), params=params, seed=3)

    return make


@pytest.fixture
def place(bench: Bench, tiny: Callable[[], Path], a_run: Callable[[], Path]) -> Bench:
    def folder(model: str) -> Path:
        built = {"tiny": tiny, "a-run": a_run}
        return built[model]() if model in built else bench.weights(model)

    return replace(bench, weights=folder)


def engine_class(name: str) -> type[Engine]:
    return load("bottega.engines", name)


def engine(name: str, made: dict[str, Engine]) -> Engine:
    return made.setdefault(name, engine_class(name)())


async def run(one: Engine, request: Request, bench: Bench) -> list[Finished]:
    return [output async for output in one.generate(request, bench) if isinstance(output, Finished)]


def content(output: Finished) -> bytes:
    assert (output.data is None) != (output.path is None)
    return output.data if output.data is not None else Path(str(output.path)).read_bytes()


def test_every_engine_has_a_sample_and_every_sample_an_engine() -> None:
    assert sorted(SAMPLES) == ENGINES


@pytest.mark.parametrize("name", ENGINES)
def test_the_card_is_valid_and_named_like_the_entry_point(name: str) -> None:
    card = engine_class(name).card
    assert Card.model_validate(card.model_dump()) == card
    assert card.id == name
    assert card.summary and card.licence and card.version and card.outputs
    assert card.source_type.startswith("http://cv.iptc.org/newscodes/digitalsourcetype/")
    assert (card.locality == "remote") == bool(card.destination)
    assert card.isolation == "process" or not (card.models or card.extra) or card.locality == "remote"
    for ports in (card.inputs, card.outputs):
        assert len({port.name for port in ports}) == len(ports)
        assert all("/" in pattern for port in ports for pattern in port.media_types)


@pytest.mark.parametrize("name", ENGINES)
def test_parameters_are_described_bounded_by_name_and_frozen(name: str) -> None:
    params = engine_class(name).params
    assert issubclass(params, Params)
    assert params.model_config.get("extra") == "forbid" and params.model_config.get("frozen")
    schema = params.model_json_schema()
    assert schema["description"]
    for field, facts in schema["properties"].items():
        assert facts.get("description"), f"{name}.{field} has no description"
        assert (
            "default" in facts
            or field in schema.get("required", ())
            or not params.model_fields[field].is_required()
        ), f"{name}.{field} has neither default nor is it required"


@pytest.mark.parametrize("name", ENGINES)
def test_importing_and_constructing_loads_nothing_heavy(name: str) -> None:
    code = (
        f"import sys; from bottega.plugins import load; load('bottega.engines', '{name}')();"
        f"print(sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ENGINES)
async def test_an_unknown_parameter_is_named(
    name: str, request_for: Callable[[str], Request], place: Bench
) -> None:
    request = request_for(name)
    wrong = request.model_copy(update={"params": {**request.params, "colour_of_the_sky": 1}})
    with pytest.raises((ValidationError, BottegaError), match="colour_of_the_sky"):
        await run(engine_class(name)(), wrong, place)


@pytest.mark.parametrize("name", ENGINES)
async def test_same_request_same_files_on_the_declared_ports_and_nothing_elsewhere(
    name: str,
    request_for: Callable[[str], Request],
    place: Bench,
    engines: dict[str, Engine],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, request = engine(name, engines), request_for(name)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    first = await run(one, request, place)
    ports = {port.name: port for port in one.outputs_for(one.params.model_validate(request.params))}
    assert {output.port for output in first} == set(ports)
    for output in first:
        assert ports[output.port].accepts(output.media_type)
        assert len(content(output)) > 0
        assert output.path is None or output.path.is_relative_to(place.scratch)
        canonical_json(output.details)
        assert str(tmp_path) not in json.dumps(output.details)
    assert list(elsewhere.iterdir()) == []
    assert one.estimate(one.params.model_validate(request.params), 1000).seconds > 0
    if one.card.determinism != "none":
        digests = [(output.port, digest_bytes(content(output)), output.details) for output in first]
        again = place.scratch / "again"
        again.mkdir()
        called = [part.model_copy(update={"name": f"x-{part.name}"}) for part in request.parts]
        same = request if one.card.reads_names else request.model_copy(update={"parts": tuple(called)})
        second = await run(one, same, replace(place, scratch=again))
        assert [(output.port, digest_bytes(content(output)), output.details) for output in second] == digests


@pytest.mark.parametrize("name", ENGINES)
async def test_a_set_stop_signal_raises_cancelled(
    name: str, request_for: Callable[[str], Request], place: Bench, engines: dict[str, Engine]
) -> None:
    stopped = replace(place, cancelled=threading.Event())
    stopped.cancelled.set()
    seen: list[object] = []
    with pytest.raises(Cancelled):
        async for output in engine(name, engines).generate(request_for(name), stopped):
            if not isinstance(output, Progress):
                seen.append(output)
    assert not any(isinstance(output, Finished) for output in seen)

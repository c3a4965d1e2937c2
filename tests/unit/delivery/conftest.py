"""A small finished run with real files of every kind."""

import io
import json
import math
import struct
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
import typst
from PIL import Image, ImageDraw

from bottega.core.artifact import Artifact, Ingredient, Provenance
from bottega.core.brief import Brand, Brief
from bottega.core.canonical import digest_bytes
from bottega.core.passage import Passage
from bottega.core.plan import Deliverable, Plan, SourceRef, Step
from bottega.core.run import Made, Run, StepResult
from bottega.core.verdict import Verdict
from bottega.delivery.folder import Delivery, deliver

PASSAGE = "The Alder lamp costs 89 EUR. It ships within 5 days, and its battery lasts 40 hours on one charge."
QUOTE = "battery lasts 40 hours"


def png(width: int = 640, height: int = 360) -> bytes:
    picture = Image.new("RGB", (width, height), "#24504a")
    ImageDraw.Draw(picture).ellipse((width // 3, height // 6, width // 3 * 2, height), fill="#e6b450")
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def wav(seconds: float = 1.0) -> bytes:
    out = io.BytesIO()
    count = int(24000 * seconds)
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(24000)
        values = (
            int(9000 * math.sin(i / 12) * abs(math.sin(i / 2100)) * (0.4 + 0.6 * abs(math.sin(i / 9000))))
            for i in range(count)
        )
        sound.writeframes(b"".join(struct.pack("<h", value) for value in values))
    return out.getvalue()


def pdf() -> bytes:
    text = "#set page(width: 12cm, height: 16cm)\n= Alder lamp\nLight for 40 hours on one charge.\n#pagebreak()\nTwo."
    made: Any = typst.compile(text.encode())
    return made


SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#24504a" '
    'stroke-width="1.6"><circle cx="12" cy="9" r="6"/><path d="M9 18h6M10 21h4"/></svg>'
)
MARKDOWN = (
    "# Light that stays\n\n"
    + "The Alder lamp keeps its promise through long evenings. " * 12
    + "\n\n## Made to last\n\n"
    + "Oak, brass and a battery that you can replace yourself. " * 9
    + "\n\n- 40 hours on one charge\n- Ships within 5 days\n- 89 EUR\n"
)
VTT = "WEBVTT\n\n00:00.000 --> 00:02.000\nLight that stays.\n\n00:02.000 --> 00:04.000\nForty hours on one charge.\n"
FAQ: dict[str, Any] = {
    "items": [
        {
            "question": "How long does the battery last?",
            "answer": "The battery lasts **40 hours** on one charge.",
            "citations": [
                {
                    "passage": "sheet.md#1",
                    "source": "sheet.md",
                    "page": 1,
                    "start": 100 + PASSAGE.index(QUOTE),
                    "end": 100 + PASSAGE.index(QUOTE) + len(QUOTE),
                    "quote": QUOTE,
                    "score": 1.0,
                }
            ],
        }
    ]
}


@dataclass
class Trial:
    """A plan, its finished run and the files, with a signer that marks what it signs."""

    root: Path
    goal: str = "A launch kit for the Alder lamp, in English and French, for people who read at night"
    steps: list[Step] = field(default_factory=list[Step])
    results: list[StepResult] = field(default_factory=list[StepResult])
    deliverables: list[Deliverable] = field(default_factory=list[Deliverable])
    passages: Sequence[Passage] = (
        Passage(id="sheet.md#1", source="sheet.md", sha256="a" * 64, page=1, start=100, end=100 + len(PASSAGE),
                heading="Price and battery", text=PASSAGE),
    )  # fmt: skip
    sources: tuple[SourceRef, ...] = (
        SourceRef(name="sheet.md", sha256="a" * 64, media_type="text/markdown", size=912),
    )
    state: Any = "released"

    def store(self, content: bytes | str, media_type: str) -> Artifact:
        data = content.encode() if isinstance(content, str) else content
        sha256 = digest_bytes(data)
        (self.root / sha256).write_bytes(data)
        return Artifact(sha256=sha256, media_type=media_type, size=len(data))

    def locate(self, artifact: Artifact) -> Path:
        return self.root / artifact.sha256

    def add(
        self,
        step: str,
        files: Mapping[str, tuple[bytes | str, str]],
        deliver_as: Sequence[tuple[str, str, str, str, str]] = (),
        inputs: Mapping[str, tuple[str, ...]] | None = None,
        engine: str = "echo",
        model: str = "",
        state: Any = "done",
        verdicts: tuple[Verdict, ...] = (
            Verdict(check="decodes", outcome="pass", reason="opens, as declared"),
        ),
        **extra: Any,
    ) -> None:
        """``deliver_as``: port, path, title, kind, language."""
        made = [
            Made(port=port, artifact=self.store(*file), verdicts=verdicts) for port, file in files.items()
        ]
        self.steps.append(
            Step(
                id=step,
                engine=engine,
                model=model,
                seed=7,
                inputs=dict(inputs or {}),
                why="the policy's first choice for this kind",
                **extra,
            )
        )
        self.results.append(
            StepResult(
                step=step, key=digest_bytes(step.encode()), state=state, outputs=tuple(made), seconds=1.7
            )
        )
        self.deliverables += [
            Deliverable(output=f"{step}.{port}", path=path, title=title, kind=kind, language=language)
            for port, path, title, kind, language in deliver_as
        ]

    @property
    def plan(self) -> Plan:
        return Plan(
            brief=Brief(goal=self.goal, sources=("/home/somebody/sheet.md",), brand=Brand(colors=("#24504a", "#e6b450"))),
            sources=self.sources,
            steps=tuple(self.steps),
            deliverables=tuple(self.deliverables),
            policy="c" * 64,
        )  # fmt: skip

    @property
    def run(self) -> Run:
        plan = self.plan
        return Run(id="run-trial", state=self.state, plan=plan.identity, brief=plan.brief.identity,
                   results=tuple(self.results), out="/somewhere/else", created_at="2026-01-02T03:04:05Z",
                   finished_at="2026-01-02T03:09:05Z")  # fmt: skip

    @property
    def provenances(self) -> dict[str, Provenance]:
        plan, found = self.plan, dict[str, Provenance]()
        for result in self.results:
            if result.state not in ("done", "reused"):
                continue
            step = plan.step(result.step)
            for made in result.outputs:
                found[f"{result.step}.{made.port}"] = Provenance(
                    artifact=made.artifact, run_id="run-trial", plan=plan.identity, step=step.id, step_key=result.key,
                    engine=step.engine, engine_version="1", model=step.model, locality=step.locality, seed=7,
                    ingredients=(Ingredient(name="sheet.md", sha256="a" * 64, media_type="text/markdown"),),
                    verdicts=made.verdicts, made_at="2026-01-02T03:04:06Z",
                )  # fmt: skip
        return found

    def deliver(self, out: Path, **changes: Any) -> Delivery:
        wanted: dict[str, Any] = {"locate": self.locate, "sign": sign, "passages": self.passages}
        wanted |= {"root_certificate_pem": "-----BEGIN CERTIFICATE-----\n"} | changes
        return deliver(out, self.plan, self.run, self.provenances, **wanted)


@dataclass(frozen=True)
class Signed:
    path: Path
    sidecar: Path | None


def sign(
    source: Path, target: Path, provenance: Provenance, parents: Sequence[tuple[Ingredient, Path | None]]
) -> Signed:
    """Text gets a sidecar, the rest a mark at its end."""
    copyfile(source, target)
    if provenance.artifact.media_type.startswith(("text/", "application/json")):
        sidecar = target.with_name(target.name + ".c2pa")
        sidecar.write_bytes(b"signed")
        return Signed(target, sidecar)
    with target.open("ab") as file:
        file.write(b"<!-- signed -->" if target.suffix == ".svg" else b"signed")
    return Signed(target, None)


def everything(trial: Trial) -> Trial:
    """One deliverable of every kind."""
    source = {"evidence": ("source:sheet.md",)}
    words = (
        Verdict(check="numbers_grounded", outcome="flag", reason="1 of 4 numbers is not in the sources", score=0.75,
                unit="share", evidence={"numbers": [{"text": "120", "line": 3}]}),
        Verdict(check="language_is", outcome="pass", reason="English", evidence={"language": "en"}),
    )  # fmt: skip
    trial.add("copy", {"text": (MARKDOWN, "text/markdown")},
              [("text", "product-page.md", "Product page", "product_page", "en")], source, "language",
              "qwen2.5-coder-1.5b-instruct", verdicts=words)  # fmt: skip
    trial.add("copy-fr", {"text": ("# Une lumière\n\nElle reste.", "text/markdown")},
              [("text", "page-produit.md", "Page produit", "product_page", "fr")], {"text": ("copy.text",)}, "translate")  # fmt: skip
    trial.add("faq", {"cited": (json.dumps(FAQ), "application/json")},
              [("cited", "faq.json", "Questions and answers", "faq", "en")], source, "cite")  # fmt: skip
    trial.add("record", {"record": ('{"name": "Alder", "price": {"amount": 89, "currency": "EUR"}, "colours": ["oak"]}', "application/json")},
              [("record", "product.json", "Product record", "record", "")], source, "record")  # fmt: skip
    trial.add("table", {"table": ("model,hours,price\nAlder,40,89\nBirch,28,69\n", "text/csv")},
              [("table", "comparison.csv", "Comparison", "data_sheet", "")], source, "table")  # fmt: skip
    trial.add("hero", {"png": (png(), "image/png")}, [("png", "hero.png", "Hero picture", "hero", "")],
              {"copy": ("copy.text",)}, "layout")  # fmt: skip
    trial.add("icons", {f"icon{i}": (SVG + " " * i, "image/svg+xml") for i in (1, 2, 3)},
              [(f"icon{i}", f"icons/icon-{i}.svg", f"Icon {i}", "icon_set", "") for i in (1, 2, 3)], engine="icons")  # fmt: skip
    trial.add("sheet", {"pdf": (pdf(), "application/pdf")}, [("pdf", "one pager.pdf", "One-pager", "one_pager", "en")],
              {"text": ("copy.text",), "images": ("hero.png",)}, "document")  # fmt: skip
    timings = {
        "sample_rate": 24000,
        "duration": 1,
        "segments": [{"start": 0, "end": 1, "text": "Light that stays."}],
    }
    trial.add("voice", {"audio": (wav(), "audio/wav"), "timings": (json.dumps(timings), "application/json")},
              [("audio", "voice.wav", "Voice-over", "voice_over", "en")], {"script": ("copy.text",)}, "speech", "kokoro-82m")  # fmt: skip
    trial.add("film", {"video": (b"\0\0\0\x18ftypmp42", "video/mp4"), "captions": (VTT, "text/vtt"), "poster": (png(), "image/png")},
              [("video", "film.mp4", "Narrated video", "video", "en"), ("captions", "film.vtt", "Captions", "video", "en")],
              {"scenes": ("hero.png",), "audio": ("voice.audio",), "timings": ("voice.timings",)}, "video")  # fmt: skip
    return trial


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    root = tmp_path / "store"
    root.mkdir()
    return Trial(root)


@pytest.fixture
def full(trial: Trial) -> Trial:
    return everything(trial)

"""A delivered folder with real signatures: everything on the page verifies, and a changed byte shows."""

from pathlib import Path
from typing import Any

import typst

from bottega.core.artifact import Artifact, Ingredient, Provenance
from bottega.core.brief import Brief
from bottega.core.plan import Deliverable, Plan, Step
from bottega.core.run import Made, Run, StepResult
from bottega.delivery.folder import Delivery, deliver
from bottega.engines.base import ALGORITHMIC
from bottega.governance.authority import Authority
from bottega.governance.signing import Signer
from bottega.governance.verify import verify


def test_every_delivered_file_verifies_and_the_page_does_not_depend_on_the_signature(
    tmp_path: Path, store_file: Any
) -> None:
    compiled: Any = typst.compile(b"= One page")
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
    files: dict[str, Artifact] = {
        "text": store_file("# Hello", "text/markdown"),
        "svg": store_file(svg, "image/svg+xml"),
        "pdf": store_file(compiled, "application/pdf"),
    }
    steps = tuple(
        Step(id=f"make-{port}", engine="echo", inputs={} if port == "text" else {"text": ("make-text.text",)})
        for port in files
    )
    plan = Plan(
        brief=Brief(goal="a page, a drawing and a sheet"),
        steps=steps,
        deliverables=tuple(
            Deliverable(output=f"make-{port}.{port}", path=f"files/{port}.{end}", title=port, kind="note")
            for port, end in (("pdf", "pdf"), ("svg", "svg"), ("text", "md"))
        ),
    )
    results = tuple(
        StepResult(
            step=f"make-{port}", key="0" * 64, state="done", outputs=(Made(port=port, artifact=artifact),)
        )
        for port, artifact in files.items()
    )
    run = Run(id="run-1", state="released", plan=plan.identity, brief=plan.brief.identity, results=results)
    parent = Ingredient(name="make-text.text", sha256=files["text"].sha256, media_type="text/markdown")
    provenances = {
        f"make-{port}.{port}": Provenance(
            artifact=artifact,
            run_id=run.id,
            plan=run.plan,
            step=f"make-{port}",
            step_key="0" * 64,
            engine="echo",
            engine_version="1",
            source_type=ALGORITHMIC,
            made_at="2026-01-01T00:00:00Z",
            ingredients=() if port == "text" else (parent,),
        )
        for port, artifact in files.items()
    }
    authority = Authority.local(tmp_path / "keys")

    def delivered() -> Delivery:
        return deliver(
            out=tmp_path / "out",
            plan=plan,
            run=run,
            provenances=provenances,
            locate=store_file.locate,
            sign=Signer(authority).sign,
            root_certificate_pem=authority.root_pem(),
        )

    page = delivered().page.read_bytes()
    delivery = delivered()
    assert delivery.page.read_bytes() == page
    for file in delivery.files:
        found = verify(delivery.out / file.path, [authority.root_pem()])
        assert found.state == "valid", (file.path, found.reasons)
    text = delivery.out / "files/text.md"
    text.write_bytes(text.read_bytes().replace(b"H", b"h"))
    assert verify(text, [authority.root_pem()]).state == "tampered"

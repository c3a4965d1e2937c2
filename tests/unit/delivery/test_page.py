"""The page: shows everything, loads nothing, says nothing that it was not told."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import typst
from tests.unit.delivery.conftest import Trial

from bottega.core.passage import Passage
from bottega.core.plan import SourceRef
from bottega.core.verdict import Verdict
from bottega.delivery.manifest import Withheld
from bottega.delivery.page import Shown, render
from bottega.delivery.palette import palette
from bottega.retrieval.convert import convert

LOADING = {"src", "poster", "srcset", "data", "action", "formaction", "background", "xlink:href"}


class Reader(HTMLParser):
    """All tags with attributes, and what stands between."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def page(trial: Trial, withheld: tuple[Withheld, ...] = ()) -> str:
    run = trial.run
    made = {f"{r.step}.{m.port}": m for r in run.results for m in r.outputs}
    shown = [
        Shown(item, made[item.output], trial.provenances[item.output])
        for item in trial.plan.deliverables
        if item.output in trial.provenances
    ]
    return render(trial.plan, run, shown, withheld, trial.locate, trial.passages).decode()


def test_every_artifact_is_shown_and_linked(full: Trial):
    html = page(full)
    reader = Reader(html)
    linked = {unquote(attrs.get("href", "")) for tag, attrs in reader.tags if tag == "a"}
    for item in full.plan.deliverables:
        assert item.path in linked
        assert item.title in html
    shown = {
        unquote(attrs["src"])
        for tag, attrs in reader.tags
        if tag in ("img", "audio", "source") and "src" in attrs
    }
    assert {"hero.png", "icons/icon-1.svg", "voice.wav", "film.mp4"} <= shown
    assert any(tag == "track" and attrs["src"].startswith("data:text/vtt") for tag, attrs in reader.tags)
    assert any(tag == "img" and attrs["src"].startswith("data:image/png") for tag, attrs in reader.tags)
    assert all(attrs.get("alt") for tag, attrs in reader.tags if tag == "img")


def test_citations_open_the_passage_with_the_quote_marked(full: Trial):
    html = page(full)
    assert "<mark>battery lasts 40 hours</mark>" in html
    assert "sheet.md, page 1, characters 161 to 183" in html


async def test_of_a_cited_pdf_the_printed_page_is_shown_with_the_quote_marked(full: Trial, tmp_path: Path):
    data = typst.compile(b"#set page(width: 300pt, height: 200pt)\nThe battery lasts 40 hours on one charge.")
    path = tmp_path / "sheet.md"  # the name under which the kit cites it
    path.with_name("sheet.pdf").write_bytes(data)
    (passage,) = (await convert(path.with_name("sheet.pdf"))).passages
    full.passages = (passage.model_copy(update={"id": "sheet.md#1", "source": "sheet.md"}),)
    assert " as it is printed" not in page(full), "the file is no source of this plan"
    stored = full.store(data, "application/pdf")
    source = SourceRef(name="sheet.md", sha256=stored.sha256, media_type="application/pdf", size=len(data))
    full.sources = (source,)
    html = page(full)
    assert html.count("Page 1 of sheet.md as it is printed") == 1 and html == page(full)
    (full.root / stored.sha256).unlink()
    assert " as it is printed" not in page(full)


def test_a_quote_that_stands_elsewhere_is_found_and_a_false_one_is_not_marked(full: Trial):
    text = "Before. The battery lasts 40 hours on one charge."
    full.passages = (
        Passage(id="sheet.md#1", source="sheet.md", sha256="a" * 64, page=2, start=0, end=49, text=text),
    )
    assert "<mark>battery lasts 40 hours</mark>" in page(full)
    full.passages = (full.passages[0].model_copy(update={"text": "Nothing of the sort."}),)
    assert "<mark>" not in page(full)


def test_nothing_is_loaded_from_outside_the_folder(full: Trial):
    html = page(full)
    reader = Reader(html)
    paths = {item.path for item in full.plan.deliverables}
    for tag, attrs in reader.tags:
        assert tag not in ("link", "base", "object", "embed", "form")
        for name in LOADING & attrs.keys():
            assert attrs[name].startswith("data:") or unquote(attrs[name]) in paths
        assert not any(name.startswith("on") for name in attrs)
        assert "style" not in attrs  # the policy would refuse it
    for address in re.findall(r"url\(([^)]*)\)", html):
        assert address.startswith("data:")
    policy = next(attrs["content"] for _, attrs in reader.tags if attrs.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_same_input_gives_the_same_bytes_without_paths_or_other_times(full: Trial):
    html = page(full)
    assert html == page(full)
    assert "/home/" not in html and "/somewhere/" not in html and str(full.root) not in html
    assert set(re.findall(r"\d{4}-\d{2}-\d{2}[T ][\d:]*", html)) == {"2026-01-02 03:04", "2026-01-02 03:09"}


def test_hostile_words_stay_words(trial: Trial):
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    trial.goal = f"Launch {evil}"
    markdown = f"# {evil}\n\n[go](javascript:alert(3)) [f](file:///etc/passwd) [w](https://example.org) ![p](https://example.org/p.png)\n\n{evil}\n"
    verdict = Verdict(check="length", outcome="flag", reason=evil, evidence={evil: [evil, {"x": evil}]})
    deliver_as = [("text", 'a"b.md', evil, evil, "")]
    trial.add("a", {"text": (markdown, "text/markdown")}, deliver_as, verdicts=(verdict,))
    trial.add(
        "b",
        {"text": (f'{{"{evil[:8]}": "{evil}"}}', "application/json")},
        [("text", "b.json", "B", "record", "")],
    )
    trial.add("c", {"text": (f"name\n{evil}\n", "text/csv")}, [("text", "c.csv", "C", "data_sheet", "")])
    trial.add("d", {"text": (evil, "text/plain")}, [("text", "d.txt", "D", "note", '"><b>')])
    withheld = (Withheld(output="e.text", path="e", title=evil, kind=evil, state="failed", reason=evil),)
    reader = Reader(page(trial, withheld))
    assert [tag for tag, _ in reader.tags].count("script") == 1
    assert not any(tag == "img" for tag, _ in reader.tags)
    links = [attrs.get("href", "") for tag, attrs in reader.tags if tag == "a"]
    assert not any(link.lower().startswith(("javascript:", "file:", "data:")) for link in links)
    assert "https://example.org" in links
    assert sum(evil in words for words in reader.words) >= 5


def test_a_hostile_brand_color_never_reaches_the_style():
    assert palette(["red;}*{background:url(//x)}", "#12345g"]).band == ("#9a4528",)


def test_what_is_not_released_is_named_with_its_reason(trial: Trial):
    trial.state = "awaiting_review"
    withheld = (
        Withheld(
            output="e.png",
            path="e.png",
            title="Hero",
            kind="hero",
            state="awaiting_review",
            reason="too dark",
        ),
    )
    html = page(trial, withheld)
    assert "Waiting for review" in html and "too dark" in html and "bottega review list" in html

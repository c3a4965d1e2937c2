"""The translation engine on OPUS-MT English to French."""

import re
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from bottega.core.artifact import Artifact
from bottega.core.errors import Cancelled
from bottega.core.request import Finished, Part, Request
from bottega.engines.base import Bench
from bottega.engines.translate import Translate

pytestmark = pytest.mark.weights("opus-mt-en-fr")

PAGE = """# Halo One

Halo One weighs **1.7 kg** and gives 1,200 lumens. See [the manual](https://example.com/a) or run `halo on`.

| Model | Price, EUR |
|-------|-----------:|
| Halo One | 1,299.50 |
"""


async def translate(bench: Bench, artifact: Artifact, **params: object) -> Finished:
    request = Request(engine="translate", parts=(Part(port="text", artifact=artifact),), params=params)
    outputs = [output async for output in Translate().generate(request, bench)]
    last = outputs[-1]
    assert isinstance(last, Finished)
    return last


async def test_a_page_keeps_form_numbers_names_and_addresses(
    bench: Bench, store_file: Callable[[str, str], Artifact]
) -> None:
    made = await translate(bench, store_file(PAGE, "text/markdown"), keep=["Halo One"])
    text = (made.data or b"").decode()
    assert made.media_type == "text/markdown"
    assert made.details["model"] == "opus-mt-en-fr"
    assert text.startswith("# ") and text.count("Halo One") == 3
    assert "**1,7 kg**" in text and "](https://example.com/a)" in text and "`halo on`" in text
    assert re.search(r"1[ \u00a0\u202f]200 lumens", text) and re.search(r"\| 1\u202f299,50 \|", text)
    assert "|-------|-----------:|" in text and "Modèle" in text and "pèse" in text
    again = await translate(bench, store_file(PAGE, "text/markdown"), keep=["Halo One"])
    assert again.data == made.data


async def test_json_keeps_keys_numbers_and_icons(
    bench: Bench, store_file: Callable[[str, str], Artifact]
) -> None:
    document = '{"title": "A warm light", "icon": "lamp", "watts": 30}'
    made = await translate(bench, store_file(document, "application/json"))
    assert made.media_type == "application/json"
    assert (made.data or b"").decode() == '{"title": "Une lumière chaude", "icon": "lamp", "watts": 30}'


async def test_cancel_stops_between_batches(bench: Bench, store_file: Callable[[str, str], Artifact]) -> None:
    bench = replace(bench, cancelled=threading.Event())
    text = store_file("\n\n".join(f"This is lamp number {n}." for n in range(60)), "text/markdown")
    request = Request(engine="translate", parts=(Part(port="text", artifact=text),))
    seen = 0
    with pytest.raises(Cancelled):
        async for _ in Translate().generate(request, bench):
            seen += 1
            bench.cancelled.set()
    assert seen == 1

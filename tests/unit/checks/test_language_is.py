from pathlib import Path

import pytest

from bottega.checks.base import Subject
from bottega.checks.language_is import LanguageIs, LanguageIsOptions
from bottega.core.artifact import Artifact
from bottega.core.verdict import Verdict

TEXTS = {
    "en": "The kettle heats a litre of water in under three minutes and switches itself off when it boils.",
    "fr": "La bouilloire chauffe un litre d'eau en moins de trois minutes et s'arrête toute seule à ébullition.",
    "de": "Der Wasserkocher erhitzt einen Liter Wasser in unter drei Minuten und schaltet sich dann selbst ab.",
    "es": "El hervidor calienta un litro de agua en menos de tres minutos y se apaga solo cuando hierve.",
    "it": "Il bollitore scalda un litro d'acqua in meno di tre minuti e si spegne da solo quando bolle.",
    "pt": "A chaleira aquece um litro de água em menos de três minutos e desliga-se sozinha quando ferve.",
    "nl": "De waterkoker verwarmt een liter water in minder dan drie minuten en schakelt zichzelf uit.",
}


async def judged(
    tmp_path: Path,
    text: str,
    language: str,
    options: LanguageIsOptions | None = None,
    media_type: str = "text/markdown",
) -> Verdict:
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8")
    artifact = Artifact(sha256="0" * 64, media_type=media_type, size=len(text))
    subject = Subject(artifact=artifact, path=path, port="text", language=language)
    return await LanguageIs().judge(subject, options or LanguageIsOptions())


@pytest.mark.parametrize("language", TEXTS)
async def test_each_language_passes_as_itself_and_is_blocked_as_another(
    tmp_path: Path, language: str
) -> None:
    assert (await judged(tmp_path, TEXTS[language], language)).outcome == "pass"
    for other in TEXTS.keys() - {language}:
        assert (await judged(tmp_path, TEXTS[language], other)).outcome == "block"


async def test_one_paragraph_in_another_language_is_found(tmp_path: Path) -> None:
    mixed = f"{TEXTS['fr']}\n\n{TEXTS['fr']}\n\n{TEXTS['en']}"
    verdict = await judged(tmp_path, mixed, "fr")
    assert (verdict.outcome, verdict.reason) == ("block", "paragraphs in another language: 1 in English")
    assert (await judged(tmp_path, mixed, "fr", LanguageIsOptions(mixed="flag"))).outcome == "flag"


async def test_quotations_code_and_addresses_do_not_count(tmp_path: Path) -> None:
    text = f"{TEXTS['fr']}\n\n> {TEXTS['en']}\n\n```\n{TEXTS['en']}\n```\n\nhttps://example.org/the-kettle"
    assert (await judged(tmp_path, text, "fr")).outcome == "pass"


async def test_a_title_passes_in_its_language_and_not_in_a_far_one(tmp_path: Path) -> None:
    assert (await judged(tmp_path, "Une bouilloire qui s'arrête toute seule", "fr")).outcome == "pass"
    assert (await judged(tmp_path, "Der Wasserkocher für die Küche", "fr")).outcome == "block"


async def test_no_words_block_and_no_language_asked_passes(tmp_path: Path) -> None:
    assert (await judged(tmp_path, "12 345\n\n67", "en")).outcome == "block"
    assert (await judged(tmp_path, TEXTS["en"], "xx")).outcome == "block"
    assert (await judged(tmp_path, TEXTS["en"], "")).reason == "no language was asked for"


async def test_captions_are_read_without_their_times(tmp_path: Path) -> None:
    captions = f"WEBVTT\n\n1\n00:00.000 --> 00:02.000\n{TEXTS['de']}\n"
    assert (await judged(tmp_path, captions, "de", media_type="text/vtt")).outcome == "pass"
    assert (await judged(tmp_path, captions, "en", media_type="text/vtt")).outcome == "block"

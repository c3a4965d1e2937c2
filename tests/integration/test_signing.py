"""Signing and verifying real files of every deliverable format, offline."""

import json
import socket
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import pytest

from bottega.core.artifact import Artifact, Ingredient, Provenance
from bottega.core.canonical import digest_bytes
from bottega.core.errors import InvalidValue, NotFound, PolicyDenied, Tampered, UnreadableSource
from bottega.core.verdict import Verdict
from bottega.engines.base import ALGORITHMIC
from bottega.governance.authority import Authority
from bottega.governance.signing import Signer
from bottega.governance.verify import MEDIA_TYPES, verify

FORMATS = ["png", "jpg", "svg", "wav", "mp4", "pdf", "md", "json", "csv", "vtt", "html"]
BESIDE = {"md", "json", "csv", "vtt", "html"}


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer(Authority.local(tmp_path_factory.mktemp("state") / "authority"))


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small real file of each format, large enough that most of it is content."""
    folder = tmp_path_factory.mktemp("originals")
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (320, 180), "#0f172a")
    ImageDraw.Draw(picture).ellipse((40, 20, 280, 160), fill="#f59e0b")
    picture.save(folder / "a.png")
    picture.save(folder / "a.jpg", quality=90)
    circles = "".join(f'<circle cx="{n}" cy="{n * 7 % 90}" r="3"/>' for n in range(100))
    (folder / "a.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 90">{circles}</svg>'
    )
    with wave.open(str(folder / "a.wav"), "wb") as sound:
        sound.setparams((1, 2, 24000, 0, "NONE", ""))
        sound.writeframes(bytes(n * n % 251 for n in range(48000)))
    import imageio_ffmpeg

    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-loglevel",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc=d=1:s=128x96",
    ]
    subprocess.run([*command, "-movflags", "+faststart", str(folder / "a.mp4")], check=True)
    import typst

    (folder / "a.pdf").write_bytes(typst.compile(b"= Kettle\n\n#lorem(80)"))
    (folder / "a.md").write_text("# Kettle\n\nIt holds 1.7 L.\n")
    (folder / "a.json").write_text('{"capacity": 1.7}\n')
    (folder / "a.csv").write_text("model,price\nA,49.00\n")
    (folder / "a.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:02.000\nHello\n")
    (folder / "a.html").write_text("<!doctype html><title>Kettle</title><p>It holds 1.7 L.</p>\n")
    return folder


def provenance(path: Path, **changes: Any) -> Provenance:
    data = path.read_bytes()
    artifact = Artifact(sha256=digest_bytes(data), media_type=MEDIA_TYPES[path.suffix], size=len(data))
    values: dict[str, Any] = {
        "artifact": artifact,
        "run_id": "run-1",
        "plan": "b" * 64,
        "step": "page",
        "step_key": "c" * 64,
        "engine": "language",
        "engine_version": "1",
        "model": "qwen2.5-coder-1.5b-instruct",
        "weights": "d" * 64,
        "params": {"temperature": 0.2},
        "seed": 7,
        "verdicts": (Verdict(check="length", outcome="pass", reason="120 words", score=120, unit="words"),),
        "made_at": "2026-11-22T12:00:00Z",
        "source_type": ALGORITHMIC,
    }
    return Provenance.model_validate(values | changes)


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_valid_when_signed_and_tampered_when_a_byte_flips(
    suffix: str, signer: Signer, originals: Path, tmp_path: Path
) -> None:
    source, target = originals / f"a.{suffix}", tmp_path / f"a.{suffix}"
    said = provenance(source)
    signed = signer.sign(source, target, said)
    roots = [signer.authority.root_pem()]

    assert (signed.sidecar is not None) == (suffix in BESIDE)
    found = verify(target, roots)
    assert (found.state, found.provenance) == ("valid", said)
    found.raise_for_state()
    assert verify(target).state == "untrusted"
    if signed.sidecar:
        assert target.read_bytes() == source.read_bytes()

    whole = target.read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        target.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        found = verify(target, roots)
        frame_of_segments = suffix == "jpg" and whole.find(b"JP") <= at < whole.find(b"JP") + 6000
        assert found.state == "tampered" or frame_of_segments, f"byte {at} of {len(whole)}"
    target.write_bytes(whole + b"\n")
    assert verify(target, roots).state == "tampered"
    with pytest.raises(Tampered):
        verify(target, roots).raise_for_state()


def test_a_flipped_byte_in_a_sidecar_is_tampered(signer: Signer, originals: Path, tmp_path: Path) -> None:
    signed = signer.sign(originals / "a.md", tmp_path / "a.md", provenance(originals / "a.md"))
    assert signed.sidecar is not None
    whole = signed.sidecar.read_bytes()
    for at in range(0, len(whole), 41):
        signed.sidecar.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert verify(signed.path, [signer.authority.root_pem()]).state == "tampered", f"byte {at}"


def test_a_missing_or_renamed_sidecar_is_unsigned_with_a_remedy(
    signer: Signer, originals: Path, tmp_path: Path
) -> None:
    signed = signer.sign(originals / "a.md", tmp_path / "a.md", provenance(originals / "a.md"))
    assert signed.sidecar is not None
    signed.sidecar.rename(tmp_path / "other.c2pa")
    found = verify(tmp_path / "a.md", [signer.authority.root_pem()])
    assert (found.state, found.provenance) == ("unsigned", None)
    with pytest.raises(NotFound, match=r"a\.md\.c2pa"):
        found.raise_for_state()
    with pytest.raises(UnreadableSource):
        verify(tmp_path / "nowhere.md")


def test_another_authority_is_untrusted_not_tampered(signer: Signer, originals: Path, tmp_path: Path) -> None:
    stranger = Signer(Authority.local(tmp_path / "stranger"))
    stranger.sign(originals / "a.png", tmp_path / "a.png", provenance(originals / "a.png"))
    found = verify(tmp_path / "a.png", [signer.authority.root_pem()])
    assert found.state == "untrusted"
    found.raise_for_state(allow_untrusted=True)
    with pytest.raises(PolicyDenied):
        found.raise_for_state()


def test_parents_are_kept_with_their_credentials_and_compared(
    signer: Signer, originals: Path, tmp_path: Path
) -> None:
    roots = [signer.authority.root_pem()]
    page = signer.sign(originals / "a.md", tmp_path / "page.md", provenance(originals / "a.md"))
    hero = signer.sign(originals / "a.png", tmp_path / "hero.png", provenance(originals / "a.png"))
    parents = [
        (
            Ingredient(
                name=name, sha256=digest_bytes(path.read_bytes()), media_type=MEDIA_TYPES[path.suffix]
            ),
            at,
        )
        for name, path, at in [
            ("page.md", originals / "a.md", page.path),
            ("hero.png", originals / "a.png", hero.path),
            ("prices.csv", originals / "a.csv", None),
        ]
    ]
    said = provenance(originals / "a.mp4", ingredients=tuple(one for one, _ in parents))
    signer.sign(originals / "a.mp4", tmp_path / "film.mp4", said, parents)

    found = verify(tmp_path / "film.mp4", roots)
    assert found.state == "valid"
    assert found.manifests == 3, "the film's own, and those of the two signed parents"
    assert [(one.ingredient.name, one.state) for one in found.parents] == [
        ("page.md", "same"),
        ("hero.png", "same"),
        ("prices.csv", "absent"),
    ]
    (tmp_path / "page.md").write_text("# Another kettle\n")
    (tmp_path / "hero.png").write_bytes((originals / "a.png").read_bytes()[:-1])
    changed = verify(tmp_path / "film.mp4", roots)
    assert changed.state == "valid", "the film itself is what it was"
    assert [one.state for one in changed.parents] == ["differs", "differs", "absent"]


def test_the_same_bytes_signed_twice_differ_in_the_manifest_only(
    signer: Signer, originals: Path, tmp_path: Path
) -> None:
    said = provenance(originals / "a.md")
    first = signer.sign(originals / "a.md", tmp_path / "1.md", said)
    second = signer.sign(originals / "a.md", tmp_path / "2.md", said)
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.manifest_digest != second.manifest_digest


def test_what_changed_after_the_checks_is_not_signed(signer: Signer, originals: Path, tmp_path: Path) -> None:
    said = provenance(originals / "a.md")
    (tmp_path / "b.md").write_text("other words")
    with pytest.raises(Tampered):
        signer.sign(tmp_path / "b.md", tmp_path / "out" / "b.md", said)
    with pytest.raises(InvalidValue, match="digital source type"):
        signer.sign(
            originals / "a.md", tmp_path / "out" / "a.md", said.model_copy(update={"source_type": ""})
        )
    assert not list((tmp_path / "out").iterdir()) if (tmp_path / "out").exists() else True


def test_large_parameters_are_shortened_and_say_so(signer: Signer, originals: Path, tmp_path: Path) -> None:
    said = provenance(originals / "a.png", params={"prompt": "word " * 5000, "steps": 4})
    signer.sign(originals / "a.png", tmp_path / "a.png", said)
    found = verify(tmp_path / "a.png").provenance
    assert found is not None
    assert found.params["shortened"] is True
    assert found.params["sha256"] == digest_bytes(json.dumps(said.params, separators=(",", ":")).encode())


def test_nothing_touches_the_network(
    signer: Signer, originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    signer.sign(originals / "a.pdf", tmp_path / "a.pdf", provenance(originals / "a.pdf"))
    assert verify(tmp_path / "a.pdf", [signer.authority.root_pem()]).state == "valid"


PEAK = """
import sys
from pathlib import Path
from bottega.governance.verify import verify
found = verify(Path(sys.argv[1]))
print(found.state, Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""  # of this process alone: what a call of the system counts begins with its parent's


@pytest.mark.parametrize("signed", [True, False])
def test_a_file_of_two_gigabytes_does_not_pass_through_memory(
    signer: Signer, originals: Path, tmp_path: Path, signed: bool
) -> None:
    """The library hashes in two pieces of 256 MiB each; the file is sparse, and no longer what was signed."""
    source, large = originals / "a.csv", tmp_path / "a.csv"
    if signed:
        signer.sign(source, large, provenance(source))
    with large.open("ab") as file:
        file.truncate(2 << 30)
    words = [sys.executable, "-c", PEAK, str(large)]
    state, kib = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    assert state == ("tampered" if signed else "unsigned")
    assert int(kib) < (1024 if signed else 256) << 10

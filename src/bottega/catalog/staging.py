"""The folder in which a model is put together before it appears.

What has been fetched waits in ``home/downloads``, what has been verified in ``home/models/.staging-ID``; the model's
folder appears by a rename, with its receipt. A pull that is killed leaves no half model, and the next one goes on.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from bottega.catalog.archives import ArchiveReader, file_blocks, inflate, write_file
from bottega.catalog.downloads import Downloads
from bottega.catalog.model import LICENCE, RECEIPT, Archive, File, Model
from bottega.catalog.progress import OnProgress, PullProgress, Stage
from bottega.catalog.receipt import Kept, Receipt, sha256_of
from bottega.catalog.sources import Sources
from bottega.core.errors import StorageFailed, Tampered, TransferFailed

LICENCES = Path(__file__).parent / "licences"
MARGIN = 64 * 2**20  # bytes of disk kept free


class Staging:
    """One model being put together; the caller holds the lock."""

    def __init__(
        self, home: Path, model: Model, target: Path, sources: Sources, on_progress: OnProgress
    ) -> None:
        self.model = model
        self.target = target
        self.sources = sources
        self.on_progress = on_progress
        self.folder = target.parent / f".staging-{model.id}"
        self.downloads = home / "downloads"
        self.raw = self.downloads / model.id  # what a conversion reads
        self.done = 0  # bytes
        self._weights: dict[Archive, int] = {}  # archive to the unpacked bytes that still wait for it

    def run(self) -> None:
        """Adopt, fetch, convert, and let the model appear."""
        for folder in (self.folder, self.raw):
            folder.mkdir(parents=True, exist_ok=True)
        fitting = [file for file in self.model.files if self._fits(self.target, file)]
        if len(fitting) == len(self.model.files) and not self.model.convert:
            self._sign(self.target)  # everything lies there, only the receipt does not
        else:
            self._tidy()
            for file in fitting:
                _link(self.target / file.path, self.folder / file.path)
            rest = [file for file in self.model.files if file not in fitting]
            missing = [(file, self.folder) for file in rest if not self._fits(self.folder, file)]
            missing += [(file, self.raw) for file in self.model.sources if not self._fits(self.raw, file)]
            self._fetch(missing)
            if self.model.convert:
                self._convert()
            self._sign(self.folder)
            self._appear()
        self._clean()

    def _tell(self, stage: Stage, done: int, file: str = "") -> None:
        done = min(done, self.model.size)
        self.on_progress(
            PullProgress(model=self.model.id, done=done, total=self.model.size, file=file, stage=stage)
        )

    def _fits(self, folder: Path, file: File) -> bool:
        place = folder / file.path
        if not place.is_file() or place.stat().st_size != file.size:
            return False
        self._tell("checking", self.done, file.path)
        if sha256_of(place) != file.sha256:
            return False
        self.done += file.size
        return True

    def _tidy(self) -> None:
        """Take away what an earlier pull of other weights, or a conversion cut short, left behind."""
        known = {self.folder / file.path for file in self.model.files}
        for path in self.folder.rglob("*"):
            if path.is_file() and path not in known:
                path.unlink()

    def _fetch(self, missing: Sequence[tuple[File, Path]]) -> None:
        packed = [
            file
            for file, _ in missing
            if self.sources.whole(self.model, file) is None and not self.sources.at_hub(file)
        ]
        for file in packed:
            for part in file.parts:
                self._weights[part.archive] = self._weights.get(part.archive, 0) + file.size // len(
                    file.parts
                )
        reader = ArchiveReader()
        with Downloads(self.downloads, self.sources.registries, self.sources.mirror) as downloads:
            self._check_space([file for file, _ in missing], downloads)
            downloads.begin(self._weights)
            try:
                for file, folder in missing:
                    try:
                        write_file(folder / file.path, file, self._blocks(file, downloads, reader))
                    except (Tampered, TransferFailed):
                        downloads.discard(part.archive for part in file.parts)
                        shutil.rmtree(self.raw / "hub", ignore_errors=True)
                        raise
                    self.done += file.size
                    for part in file.parts if file in packed else ():
                        self._weights[part.archive] -= file.size // len(file.parts)
            finally:
                reader.close()

    def _blocks(self, file: File, downloads: Downloads, reader: ArchiveReader) -> Iterator[bytes]:
        def tick() -> None:
            coming = sum(downloads.fraction(archive) * weight for archive, weight in self._weights.items())
            self._tell("fetching", self.done + int(coming), file.path)

        def packed() -> Iterator[bytes]:
            for part in file.parts:
                path = downloads.path(part.archive, tick)
                tick()
                yield from reader.blocks(path, part)

        tick()
        if whole := self.sources.whole(self.model, file):
            return file_blocks(whole)
        if self.sources.at_hub(file):
            return file_blocks(self.sources.hub(self.model, file, self.raw / "hub"))
        if not file.parts:
            raise TransferFailed(
                "the catalog names no place to fetch it from",
                where=f"{self.model.id}/{file.path}",
                remedy=f"put it into MIRROR/{self.model.id}/ and pull with --mirror MIRROR",
            )
        return inflate(packed()) if file.compression == "deflate" else packed()

    def _check_space(self, missing: Sequence[File], downloads: Downloads) -> None:
        files = sum(file.size for file in missing)
        archives = sum(weight for archive, weight in self._weights.items() if not downloads.present(archive))
        archives += sum(file.size for file in missing if self.sources.at_hub(file))
        converted = sum(file.size for file in self.model.sources) // 2
        needed, free = files + archives + converted + MARGIN, self.sources.free(self.downloads)
        if free < needed:
            raise StorageFailed(
                f"pulling '{self.model.id}' needs about {needed} bytes of disk, {free} are free",
                where=str(self.downloads),
                remedy="free some space, or set BOTTEGA_HOME to another disk",
            )

    def _convert(self) -> None:
        from bottega.catalog.convert_marian import convert  # needs numpy and ctranslate2

        self._tell("converting", self.done)
        made = self.raw / "converted"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        convert(self.raw, made)
        for path in sorted(made.iterdir()):
            path.replace(self.folder / path.name)

    def _sign(self, folder: Path) -> None:
        """Write the licence and, last, the receipt."""
        (folder / LICENCE).write_text(_licence(self.model), encoding="utf-8")
        pinned = {file.path: file.sha256 for file in self.model.files}
        if self.model.convert:
            pinned |= {path.name: sha256_of(path) for path in folder.iterdir() if _made(path, pinned)}
        kept = tuple(
            Kept(path=path, size=(folder / path).stat().st_size, sha256=pinned[path])
            for path in sorted(pinned)
        )
        Receipt(model=self.model.id, digest=self.model.digest, files=kept).seen(folder).write(folder)

    def _appear(self) -> None:
        old = self.target.parent / f".old-{self.model.id}"
        shutil.rmtree(old, ignore_errors=True)
        if self.target.exists():
            self.target.replace(old)
        self.folder.replace(self.target)
        shutil.rmtree(old, ignore_errors=True)

    def _clean(self) -> None:
        for folder in (self.folder, self.raw):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (*self.model.files, *self.model.sources):
            for part in file.parts:
                (self.downloads / part.archive.file_name).unlink(missing_ok=True)


def _made(path: Path, pinned: dict[str, str]) -> bool:
    """Whether a conversion made this file."""
    return path.is_file() and path.name not in {*pinned, LICENCE, RECEIPT}


def _link(source: Path, target: Path) -> None:
    """A second name for the same bytes, so that whoever reads the old folder is not disturbed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def _licence(model: Model) -> str:
    """Who made the weights and under which licence, with its text when we carry it."""
    lines = [model.title, f"By {model.attribution}.", f"Licence: {model.licence}."]
    if model.source:
        lines.append(f"Published as {model.source}.")
    text = LICENCES / f"{model.licence}.txt"
    return "\n".join(lines) + "\n" + (f"\n{text.read_text(encoding='utf-8')}" if text.is_file() else "")

"""Several processes share one run over gloo: each computes shards of every batch, and their gradients are added up."""

import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist

from bottega.core.errors import BottegaError, EngineFailed, InvalidValue
from bottega.training.data import base
from bottega.training.family import family_of
from bottega.training.folder import RunFolder
from bottega.training.loop import Share, fit


@contextmanager
def sharing(folder: RunFolder, home: Path, processes: int, threads: int) -> Generator[Share]:
    """This process as the first of ``processes``; the others read the same folder and end with the block.

    Raises:
        InvalidValue: there are fewer shards than processes.
        EngineFailed: another process is gone; the last checkpoint stays.
    """
    if processes == 1:
        yield Share()
        return
    if folder.config().recipe.fit.shards < processes:
        raise InvalidValue(
            f"{folder.config().recipe.fit.shards} shards for {processes} processes",
            where="fit.shards",
            remedy=f"set it to {processes} or a multiple; it belongs to the recipe, because it settles the noise",
        )
    with tempfile.TemporaryDirectory() as meeting:
        words = [sys.executable, "-P", "-m", __name__, str(folder.path), str(home), str(threads), meeting]
        others = [subprocess.Popen([*words, str(rank), str(processes)]) for rank in range(1, processes)]
        try:
            yield _meet(meeting, 0, processes)
        except RuntimeError as error:
            raise EngineFailed(
                f"a process of the run is gone: {error}",
                where=str(folder.path),
                remedy="the last checkpoint stays; go on with --resume",
            ) from error
        finally:
            dist.destroy_process_group()
            for other in others:
                other.kill()
                other.wait()


def _meet(meeting: str, rank: int, size: int) -> Share:
    dist.init_process_group("gloo", init_method=f"file://{meeting}/store", rank=rank, world_size=size)
    return Share(rank, size)


def main() -> None:
    """Compute shards until the run ends, or the first process is gone."""
    path, home, threads, meeting, rank, size = sys.argv[1:]
    torch.set_num_threads(int(threads))
    folder = RunFolder(Path(path))
    config = folder.config()
    recipe, facts = config.recipe, config.data
    data = base.load(recipe.data, Path(home))
    family = family_of(recipe, facts.shape, facts.labels, config.codec)
    share = _meet(meeting, int(rank), int(size))
    try:
        fit(family, data, recipe.fit, recipe.seed, folder, share=share)
    except (BottegaError, RuntimeError):  # the first process tells why
        sys.exit(1)


if __name__ == "__main__":
    main()

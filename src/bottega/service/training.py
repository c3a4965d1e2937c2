"""Training as operations of the service: what needs torch is imported when it is called."""

import shlex
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottega.core.errors import ExtraMissing, InvalidValue

if TYPE_CHECKING:
    from bottega.evaluation.table import Table
    from bottega.training.card import Report
    from bottega.training.data.inspection import Inspection
    from bottega.training.runs import Watch


class Training:
    """Train, sample, evaluate and export; data sets and judges are kept under ``home``."""

    def __init__(self, home: Path, threads: int) -> None:
        self.home, self.threads = home, threads

    def train(
        self,
        recipe: str,
        out: str | Path,
        *,
        seed: int | None = None,
        steps: int | None = None,
        depth: int | None = None,
        data: str | None = None,
        begin: str | Path | None = None,
        processes: int = 1,
        resume: bool = False,
        watch: "Watch | None" = None,
    ) -> "Report":
        """Train a shipped recipe or a TOML file; what is given replaces the recipe's own.

        ``begin`` is the run of a language model that fine-tuning starts as. ``processes`` share each batch, in as many
        shards.

        Raises:
            ExtraMissing: the extra ``train`` is not installed.
            NotFound: no such recipe, family or data; names the nearest.
            InvalidValue: a wrong recipe, wrong data, or a folder that holds something else.
            EngineFailed: it diverged; the last good checkpoint stays.
            StorageFailed: the disk is full; the last checkpoint stays.
        """
        _needs_extra()
        from bottega.training.recipe import read_recipe
        from bottega.training.runs import Watch, train

        shards = processes if processes > 1 else None
        wanted = read_recipe(recipe, seed=seed, depth=depth, data=data, fit__steps=steps, fit__shards=shards)
        command = f"train {recipe} --seed {wanted.seed} --depth {wanted.depth} --steps {wanted.fit.steps}"
        if data:
            command += f" --data {data}"
        if begin:
            from bottega.training.tune import begun_from

            wanted = begun_from(wanted, Path(begin))
            command += f" --from {begin}"
        if processes > 1:
            command += f" --processes {processes}"
        return train(
            wanted,
            Path(out),
            self.home,
            command,
            resume=resume,
            threads=self.threads,
            processes=processes,
            watch=watch or Watch(),
        )

    def distil(
        self,
        run: str | Path,
        out: str | Path,
        *,
        steps: int = 4,
        depth: int = 0,
        train_steps: int = 0,
        seed: int = 0,
        resume: bool = False,
        watch: "Watch | None" = None,
    ) -> "Report":
        """Train a student of a flow, which samples in ``steps`` steps without guidance, or of a language model, of a smaller ``depth``.

        Raises:
            InvalidValue: ``run`` is neither, or the student would save nothing; and all that ``train`` raises.
        """
        _needs_extra()
        from bottega.training.distil import student_of
        from bottega.training.runs import Watch, train

        wanted = student_of(Path(run), steps, depth, train_steps, seed)
        how = f"--depth {wanted.depth}" if wanted.family == "lm-student" else f"--steps {steps}"
        command = f"distil {run} {how} --train-steps {wanted.fit.steps} --seed {seed}"
        return train(
            wanted, Path(out), self.home, command, resume=resume, threads=self.threads, watch=watch or Watch()
        )

    def adapt(
        self,
        base: str | Path,
        out: str | Path,
        *,
        data: str,
        rank: int = 8,
        steps: int = 150,
        batch: int = 32,
        rate: float = 5e-3,
        seed: int = 0,
        resume: bool = False,
        watch: "Watch | None" = None,
        **ways: Any,
    ) -> "Report":
        """Teach a run, or a checkpoint of Transformers or Diffusers, new data by low-rank sums; they are merged in what comes out.

        ``ways`` are fields of ``Ways``: which layers of a checkpoint, and how it is rewarded or held to its base.

        Raises:
            NotFound: ``base`` is neither a trained run nor a checkpoint.
            InvalidValue: the data do not fit the base; and all that ``train`` raises.
        """
        _needs_extra()
        from bottega.training.adapt import Ways, adapted_from
        from bottega.training.recipe import Fit, checked
        from bottega.training.runs import Watch, train

        fit = Fit(steps=steps, batch=batch, rate=rate, warmup=10, ema=0.95, save_every=25, validate_every=50)
        wanted = adapted_from(Path(base), data, rank, fit, seed, self.home, checked(Ways, ways, "ways"))
        command = f"adapt {base} --data {data} --rank {rank} --steps {steps} --batch {batch} --rate {rate:g}"
        modules: tuple[str, ...] = ways.get("modules", ())
        named = [
            *(("modules", each) for each in modules),
            *((k, v) for k, v in ways.items() if k != "modules"),
        ]
        command += "".join(f" --{name} {shlex.quote(str(value))}" for name, value in named)
        return train(
            wanted,
            Path(out),
            self.home,
            f"{command} --seed {seed}",
            resume=resume,
            threads=self.threads,
            watch=watch or Watch(),
        )

    def sample(self, run: str | Path, out: str | Path, weights: str = "", **wish: Any) -> list[Path]:
        """Write what a run makes into the new folder ``out``; ``wish`` are fields of ``Wish``.

        ``weights`` names a way of ``compress``; the originals are taken without it.

        Raises:
            NotFound: not compressed that way.
            InvalidValue: ``out`` is not empty, or the wish is not one that the family has.
        """
        _needs_extra()
        from bottega.storage.disk import appearing, disk
        from bottega.training.compress import open_compressed
        from bottega.training.family import Wish
        from bottega.training.recipe import checked
        from bottega.training.runs import open_run, sample

        run, out = Path(run), Path(out)
        if out.exists() and any(out.iterdir()):
            raise InvalidValue("the folder is not empty", where=str(out), remedy="choose another --out")
        written: list[Path] = []
        ready = open_compressed(run, weights) if weights else open_run(run)
        for made in sample(ready, checked(Wish, wish, "wish")):
            with disk(out.parent), appearing(out / made.name) as temporary:
                temporary.write_bytes(made.data)
                temporary.chmod(0o644)
            written.append(out / made.name)
        return written

    def evaluate(self, run: str | Path) -> "Report":
        """Measure a run again and write its card anew.

        Raises:
            InvalidValue: its data changed since.
        """
        _needs_extra()
        from bottega.training.runs import evaluate

        return evaluate(Path(run), self.home)

    def compress(
        self, run: str | Path, *, seeds: int = 3, says: Callable[[str], None] = lambda text: None
    ) -> "Table":
        """Write the weights in 8, 4 and 2 bits and pruned to 2 of 4, and measure each as often as there are seeds.

        Raises:
            NotFound: no trained run.
        """
        _needs_extra()
        from bottega.training.compress import compress

        return compress(Path(run), self.home, seeds, says)

    def publish(self, run: str | Path, name: str) -> Path:
        """Write ``models.d/NAME.toml`` and copy the weights to where the engine ``trained`` finds them; gives the entry.

        Raises:
            NotFound: no trained run.
            InvalidValue: no fit name, or one that the catalog has for other weights.
        """
        _needs_extra()
        from bottega.catalog.catalog import Catalog
        from bottega.catalog.pull import pull
        from bottega.storage.disk import appearing, disk
        from bottega.training.entry import entry_of

        model, text = entry_of(Path(run), name)
        entry = self.home / "models.d" / f"{name}.toml"
        known = {each.id: each for each in Catalog(self.home).models()}
        if name in known and known[name].digest != model.digest:
            raise InvalidValue(
                "the catalog has other weights of that name",
                where=name,
                remedy=f"choose another --name, or remove {entry}",
            )
        with disk(entry.parent), appearing(entry) as temporary:
            temporary.write_text(text, encoding="utf-8")
        catalog = Catalog(self.home)
        pull(catalog, catalog.get(name))
        return entry

    def export(self, run: str | Path, says: Callable[[str], None] = lambda text: None) -> list[Path]:
        """Write ``export/NAME.onnx`` and ``NAME.int8.onnx`` into the run folder, each compared with the network.

        Raises:
            EngineFailed: an exported network says something else than ours.
        """
        _needs_extra()
        from bottega.training.export import export

        return export(Path(run), says)


def check_data(folder: Path) -> "Inspection":
    """What a folder of data holds, and what is wrong with it; needs no extra.

    Raises:
        NotFound: no such folder.
        InvalidValue: it holds nothing that is read.
    """
    from bottega.checks.identifiers import found_in, masked
    from bottega.training.data.inspection import inspect

    return inspect(folder, lambda text: [(kind, masked(kind, value)) for kind, value, _ in found_in(text)])


def _needs_extra() -> None:
    missing = [
        name
        for name in ("torch", "safetensors", "onnx", "onnxscript", "tokenizers")
        if find_spec(name) is None
    ]
    if missing:
        raise ExtraMissing(f"{', '.join(missing)} is not installed", remedy="pip install 'bottega[train]'")

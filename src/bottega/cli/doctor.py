"""`bottega doctor`."""

import click

PACKAGES = {
    "xllamacpp": ("language models", ""),
    "onnxruntime": ("neural speech", ""),
    "typst": ("documents", ""),
    "c2pa": ("signing", ""),
    "pypdfium2": ("PDF sources", ""),
    "espeakng_loader": ("speech", "speech"),
    "faster_whisper": ("recognition", "transcribe"),
    "ctranslate2": ("translation", "translate"),
    "vl_convert": ("charts", "chart"),
    "duckdb": ("tables", "table"),
    "docx": ("DOCX sources", "docx"),
    "rapidocr": ("text in pictures", "ocr"),
    "imageio_ffmpeg": ("video", "video"),
    "httptools": ("remote engines", "remote"),
    "diffusers": ("text to image", "image"),
    "onnxscript": ("training", "train"),
}


@click.command()
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def command(machine: bool) -> None:
    """Say what works here, what is missing and what mends it."""
    from bottega.cli.show import as_json, table

    found = [*_packages(), *_models(), *_folders(), *_tools()]
    if machine:
        as_json([dict(zip(("what", "ok", "found", "remedy"), row, strict=True)) for row in found])
    else:
        rows = [("✓" if ok else "✗", what, text, "" if ok else remedy) for what, ok, text, remedy in found]
        table("Doctor", ("", "what", "found", "what mends it"), rows)
    if any(not ok and not remedy.startswith("optional") for _, ok, _, remedy in found):
        raise click.exceptions.Exit(5)


Row = tuple[str, bool, str, str]


def _packages() -> list[Row]:
    from importlib.util import find_spec

    rows: list[Row] = []
    for module, (purpose, extra) in PACKAGES.items():
        there = find_spec(module) is not None
        remedy = f"pip install 'bottega[{extra}]'" if extra else "pip install bottega"
        if extra in ("image", "remote", "train"):
            remedy = f"optional: {remedy}"
        rows.append((purpose, there, module if there else f"{module} is not installed", remedy))
    return rows


def _models() -> list[Row]:
    from bottega.catalog.catalog import Catalog
    from bottega.settings import Settings

    catalog = Catalog(Settings().home)
    rows: list[Row] = []
    for model in catalog.models():
        here = catalog.pulled(model)
        remedy = f"bottega pull {model.id}"
        text = "pulled" if here else "not on this machine"
        rows.append((f"model {model.id}", here, text, remedy if model.default else f"optional: {remedy}"))
    return rows


def _folders() -> list[Row]:
    import shutil
    import tempfile

    from bottega.cli.show import size
    from bottega.settings import Settings

    rows: list[Row] = []
    for name, folder in (("BOTTEGA_HOME", Settings().home), ("BOTTEGA_STATE", Settings().state)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                free = shutil.disk_usage(folder).free
            enough = free > 2 * 2**30
            rows.append(
                (name, enough, f"{folder}, {size(free)} free", "free some space or set another folder")
            )
        except OSError as error:
            rows.append((name, False, f"{folder}: {error.strerror}", f"set {name} to a folder you may write"))
    return rows


def _tools() -> list[Row]:
    import os
    import shutil

    npm = shutil.which("npm")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        (
            "npm",
            npm is not None,
            npm or "not on the PATH",
            "install Node 20: `bottega pull` uses npm to fetch archives",
        ),
        ("memory", memory >= 4, f"{memory:.0f} GiB", "4 GiB are needed for the default language model"),
        ("processors", True, str(os.cpu_count()), ""),
    ]

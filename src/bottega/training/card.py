"""The card of a run, written from what was measured."""

import hashlib

from bottega.core.value import Value
from bottega.evaluation.table import Table
from bottega.training.estimate import Estimate
from bottega.training.folder import Config


class Report(Value, frozen=True):
    """``report.json``: what training took and what the evaluation found."""

    command: str = ""
    estimate: Estimate
    ended: str
    step: int
    cpu_seconds: float
    peak_memory: int
    table: Table | None = None


LIMITS = {
    "flow": "It knows nothing but the classes and the size of its training pictures.",
    "flow-student": "What its teacher cannot make it cannot either; it goes in the steps that it was distilled to, and no others.",
    "sketch": "It follows lines as its training pictures have them; a drawing by hand is another kind of line.",
    "text-flow": "It knows the words of its training pictures, in any order, and no sentences; what it draws may be no picture of them.",
    "pair": "It knows the words of its training pictures and no sentences; likeness is not truth.",
    "gan": "It may leave out what is rare (see recall); there is no measure of how likely a picture is.",
    "vae": "Its pictures are blurred: the likelihood is one Gaussian of equal variance for all pixels.",
    "vq": "Its pictures are as sharp as its codebook; fine texture is lost in it.",
    "lm": "It continues text in the manner of its training text. What it says is not true or false.",
    "lm-student": "It continues text as its teacher does, less well. What it says is not true or false.",
    "sft": "It answers prompts like those that it was trained on, and goes on answering where it should not.",
    "dpo": "It prefers what the pairs prefer; that is not the same as being right.",
    "grpo": "It does what the reward checks, and nothing holds it to what the reward does not check.",
    "seq2seq": "It writes in the manner of its training answers; names and facts in what it writes may be wrong.",
    "embedder": "It tells apart texts like those that it was trained on; what a text means beyond its words it hardly knows.",
    "captioner": "It reads pictures like those that it was trained on, of the same size, and answers the same questions.",
    "adapted": "It may have forgotten some of what its base could: only the new data were looked at.",
    "checkpoint": "What its base says wrong it may still say; only the new data were looked at.",
    "checkpoint-dpo": "It prefers what the pairs prefer; what its base says wrong it may still say.",
    "checkpoint-pictures": "It draws what its base drew and what the labels name; a label is a prompt, and no more is known of a picture.",
    "checkpoint-grpo": "It does what the reward checks, and nothing holds it to what the reward does not check.",
    "drawing": "It draws on a grid of half units, in one colour, what single words name; it does not know how many, where or for what.",
    "encoder": "It knows the labels of its training texts and no others, and always gives one; its shares are not calibrated.",
}


def card(config: Config, report: Report, weights: bytes) -> str:
    """The model card as Markdown."""
    recipe, data = config.recipe, config.data
    command = f", made by `bottega {report.command} --out DIR`" if report.command else ""
    table = report.table.markdown() if report.table else "Not evaluated yet: `bottega evaluate`."
    sizes = ", ".join(f"{count:,} {part}" for part, count in data.sizes.items())
    return f"""# {recipe.id}

{recipe.summary}

A `{recipe.family}` model of {report.estimate.parameters:,} parameters{command}.

## Data

{data.name}: {sizes}. Licence: {data.licence}. {data.attribution}. SHA-256 `{data.sha256}`.

## What was measured

{table}

## How it was made

- steps: {report.step} of {recipe.fit.steps} ({report.ended}); seed {recipe.seed}; batch {recipe.fit.batch}
- CPU: {report.cpu_seconds:.0f} seconds, {config.threads} threads, torch {config.torch}; before the start \
{report.estimate.seconds:.0f} seconds were stated
- memory: {report.peak_memory / 2**20:.0f} MiB at the peak of the process; stated {report.estimate.memory / 2**20:.0f} MiB
- weights: `model.safetensors`, {len(weights):,} bytes, SHA-256 `{hashlib.sha256(weights).hexdigest()}`

## Limits

{LIMITS[recipe.family]} One seed; figures vary between seeds. It was not tested for any use outside of this project.
"""

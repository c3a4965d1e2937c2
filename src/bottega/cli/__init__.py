"""The command line: one file per command group, loaded on use."""

import sys
from importlib import import_module

import click

COMMANDS = {
    "make": ("make", "Make deliverables from a brief, or run a plan."),
    "plan": ("plan", "Show what `make` would do, and write it to plan.json."),
    "resume": ("resume", "Go on with a run: after a kill, a stop, a failure or a review."),
    "stop": ("stop", "Stop a run, in whatever process it works."),
    "worker": ("worker", "Work on runs that wait, beside other workers."),
    "review": ("review", "Look at what waits for a person, approve or reject it."),
    "budget": ("budget", "Set what accounts may spend, and see what they have spent."),
    "runs": ("runs", "List runs."),
    "replay": ("replay", "Make a run, or a delivered file, again and compare every byte."),
    "verify": ("verify", "Check signature, hash, checks and parents of files."),
    "audit": ("audit", "Verify the record, prove what stands in it, sign checkpoints."),
    "erase": ("erase", "Destroy the key of a person's data, with a receipt."),
    "store": ("store", "Check, tidy, back up and restore what is kept."),
    "index": ("index", "Index files and folders into a collection, to be searched and cited."),
    "search": ("search", "Find passages in a collection."),
    "ask": ("ask", "Answer a question from a collection, every sentence with its quote."),
    "history": ("history", "Show or search a conversation with a collection, or delete it."),
    "collections": ("collections", "List collections, or the documents of one."),
    "table": ("table", "Ask CSV and XLSX files a question: the query is shown, the cells are cited."),
    "call": ("call", "Call one engine on files of yours."),
    "serve": ("serve", "Serve one HTTP API for every modality, in OpenAI's dialect."),
    "keys": ("keys", "Make, list and revoke the keys of that API."),
    "projects": ("projects", "Projects and their teams: where keys have roles, and which accounts pay."),
    "data": ("data", "Check a folder of data before training on it: licences, duplicates, leakage and more."),
    "train": ("train", "Train a generative model of your own from a recipe, into a run folder."),
    "sample": ("sample", "Make files with a trained run."),
    "evaluate": ("evaluate", "Measure a trained run against a floor and two baselines."),
    "adapt": (
        "adapt",
        "Teach a trained run, or a checkpoint of Transformers or Diffusers, new data by LoRA.",
    ),
    "distil": ("distil", "Teach a student to sample a trained flow in a few steps."),
    "compress": ("compress", "Write a trained run's weights in fewer bytes, each way measured."),
    "publish": ("publish", "Put a trained run into the catalog, for the engine `trained`."),
    "export": ("export", "Write a trained run as ONNX."),
    "engines": ("engines", "List the engines: what turns a request into outputs."),
    "models": ("models", "List the models: weights, licence, size."),
    "pull": ("pull", "Fetch the weights of models."),
    "doctor": ("doctor", "Say what works here, what is missing and what mends it."),
}


class Lazy(click.Group):
    """A group whose commands are imported when they are called, not when they are listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands' names, in the order people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"bottega.cli.{COMMANDS[cmd_name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bottega")
def root() -> None:
    """Bottega: a brief becomes checked, signed deliverables, made by many engines on your own machine.

    Start with:  bottega make "a launch kit for our new kettle" --source docs/ --out kit
    """


def main() -> None:
    """Run the command line; an error ends with the exit code of its kind."""
    try:
        code: object = root(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)  # Click gives the code of `Exit` back as the result
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except Exception as error:
        from bottega.core.errors import BottegaError

        if not isinstance(error, BottegaError):
            raise
        _report(error)
        sys.exit(error.exit_code)


def _report(error: "Exception") -> None:
    """One clear error: what, where, what to do; as JSON when `--json` was asked for."""
    from bottega.core.errors import BottegaError

    assert isinstance(error, BottegaError)
    if "--json" in sys.argv:
        import json

        facts = {
            "type": type(error).__name__,
            "message": error.message,
            "where": error.where,
            "remedy": error.remedy,
            "exit_code": error.exit_code,
        }
        click.echo(json.dumps({"error": facts}))
        return
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    place = f"{error.where}: " if error.where else ""
    click.echo(f"{place}{error.message}", err=True)
    if error.remedy:
        click.echo(f"  what to do: {error.remedy}", err=True)

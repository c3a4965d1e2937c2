"""What is here, what is missing, and words that mean nothing."""

from tests.unit.cli.conftest import Cli


def test_engines_list_their_parameters(cli: Cli) -> None:
    engines = {engine["id"]: engine for engine in cli("engines", "--json").json}
    assert {"language", "speech", "layout", "document", "chart", "video", "echo"} <= engines.keys()
    for engine in engines.values():
        assert engine["params"]["type"] == "object", engine["id"]
        for name, field in engine["params"].get("properties", {}).items():
            assert field.get("description"), (engine["id"], name)
    assert "speech" in cli("engines").out


def test_checks_list_their_options(cli: Cli) -> None:
    checks = {check["id"]: check for check in cli("engines", "--checks", "--json").json}
    assert {"length", "numbers_grounded", "citations", "decodes"} <= checks.keys()
    assert "numbers_grounded" in cli("engines", "--checks").out


def test_models_say_what_is_missing(cli: Cli) -> None:
    models = {model["id"]: model for model in cli("models", "--json").json}
    kokoro = models["kokoro-82m"]
    assert (kokoro["licence"], kokoro["pulled"]) == ("Apache-2.0", False)
    assert kokoro["size"] > 100_000_000
    assert len(kokoro["digest"]) == 64
    assert "bottega pull kokoro-82m" in cli("models").out


def test_doctor_names_what_mends_what_is_missing(cli: Cli) -> None:
    said = cli("doctor", expect=5)
    assert "bottega pull" in said.out
    rows = {row["what"]: row for row in cli("doctor", "--json", expect=5).json}
    assert rows["BOTTEGA_STATE"]["ok"] and rows["documents"]["ok"]
    assert not rows["model kokoro-82m"]["ok"]
    assert rows["model kokoro-82m"]["remedy"] == "bottega pull kokoro-82m"


def test_doctor_says_that_a_folder_cannot_be_used(cli: Cli) -> None:
    (cli.root / "file").write_text("not a folder")
    cli.environment["BOTTEGA_STATE"] = str(cli.root / "file" / "state")
    rows = {row["what"]: row for row in cli("doctor", "--json", expect=5).json}
    assert not rows["BOTTEGA_STATE"]["ok"]
    assert rows["BOTTEGA_STATE"]["remedy"].startswith("set BOTTEGA_STATE")


def test_an_unknown_model_cannot_be_pulled(cli: Cli) -> None:
    said = cli("pull", "kokorro-82m", expect=2)
    assert "unknown model 'kokorro-82m'" in said.err
    assert "kokoro-82m" in said.err.splitlines()[1]
    assert "no model was named" in cli("pull", expect=2).err


def test_words_that_mean_nothing(cli: Cli) -> None:
    assert "No such command 'bake'" in cli("bake", expect=2).err
    assert "No such option" in cli("runs", "--bake", expect=2).err


def test_help_names_every_command(cli: Cli) -> None:
    said = cli("--help").out
    assert all(name in said for name in ("make", "plan", "review", "verify", "engines", "pull", "doctor"))
    assert "bottega" in cli("--version").out


def test_no_goal_no_plan(cli: Cli) -> None:
    said = cli("make", expect=2)
    assert "there is no goal" in said.err and "what to do" in said.err
    error = cli("plan", "--json", expect=2).json["error"]
    assert (error["type"], error["where"]) == ("InvalidBrief", "goal")
    assert not (cli.root / "plan.json").exists()


def test_files_without_a_certificate(cli: Cli) -> None:
    (cli.root / "a.txt").write_text("words")
    assert "unsigned" in cli("verify", cli.root / "a.txt", expect=2).out
    cli("verify", cli.root / "missing.txt", expect=2)

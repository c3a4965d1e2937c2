"""What the journal of a run keeps of its prompts and credentials."""

from collections.abc import Callable

import pytest
from tests.unit.pipelines.conftest import echo, plan_of

from bottega.governance.redaction import masked
from bottega.pipelines.runner import Runner
from bottega.pipelines.workshop import Workshop

Work = Callable[..., Runner]


@pytest.mark.parametrize("recording", ["redacted", "digest"])
async def test_the_journal_of_a_run_holds_neither_key_nor_prompt(
    shop: Workshop, runner: Work, recording: str
) -> None:
    shop.policy = shop.policy.model_copy(update={"record": recording})
    secret, prompt = "sk-abcdefghijklmnopqrstuvwx", "tell of the red fox who crossed the frozen river"
    fails = echo("bad", params={"text": prompt, "fail": f"HTTP 401 for {secret}: {prompt[:30]}"})
    good = echo("good", params={"text": f"{prompt} with {secret}"})
    run = await runner(plan_of(good, fails)).work()
    assert run.state == "failed"
    shop.runs.ask_to_stop(run.id, actor="user:test", why=masked(f"it leaks {secret}"))
    entries = [entry.canonical().decode() for entry in shop.journal.about()]
    assert len(entries) >= 6
    for entry in entries:
        assert secret not in entry and prompt not in entry and "red fox" not in entry
    (failed,) = [entry for entry in shop.journal.about() if entry.act.value == "pipeline:step:failed"]
    assert "[text]" in failed.detail["error"]

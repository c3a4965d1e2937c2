"""Judges that a package brings, on an engine that answers at once; `python -m benchmarks.judges` asks them all, on a real model."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.judges.suites import comply, schemathesis
from tests.serving import Server

PYTHON = Path(sys.executable)
SPOKEN = {  # what needs no model that reads: the rest stands in the table of the guide
    "openai-chat": "chat-basic-response,chat-system-prompt,chat-multi-turn,chat-streaming-response,chat-streaming-usage,"
    "chat-error-handling",
    "anthropic": "anth-basic-response,anth-system-prompt,anth-multi-turn,anth-streaming-response,anth-streaming-usage,"
    "anth-error-handling",
    "open-responses": "basic-response,system-prompt,multi-turn,streaming-response,streaming-usage,assistant-phase,"
    "response-output-phase-schema,compact-response,compact-missing-model,error-handling",
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"), config='engines = ["echo", "embed", "tokens"]\n')
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log(), made.log()


@pytest.mark.parametrize("dialect", SPOKEN)
def test_llm_comply(server: Server, dialect: str) -> None:
    score = comply(PYTHON, server, dialect, "echo", SPOKEN[dialect])
    assert score.passed == score.asked >= 4, score


def test_schemathesis_on_every_route(server: Server) -> None:
    score = schemathesis(PYTHON, server, 1, "fuzzing")
    assert score.passed == score.asked >= 60, score

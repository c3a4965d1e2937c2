"""Responses in the background: followed, taken up again, and there when the server is another one."""

from pathlib import Path
from typing import Any

import openai
import pytest
from tests.serving import Server

SLOW = """
[[models]]
name = "slow"
targets = [{ engine = "echo", params = { text = "a b c d e f g h i j", delay = 0.1 } }]

[[models]]
name = "endless"
targets = [{ engine = "echo", params = { text = "a b c d e f g h i j k l m n o p q r s t", delay = 5 } }]

[[models]]
name = "broken"
retries = 0
targets = [{ engine = "echo", params = { fail = "the engine broke" } }]
"""


def test_a_stream_in_the_background_is_taken_up_where_it_was_left_also_after_a_kill(tmp_path: Path) -> None:
    server = Server(tmp_path, config=SLOW)
    secret = server.key
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=secret, max_retries=0) as made:
        client: Any = made
        stream = client.responses.create(model="slow", input="x", background=True, stream=True)
        first = [next(stream) for _ in range(6)]
        stream.close()  # and it goes on
        name, number = first[0].response.id, first[-1].sequence_number
        assert first[0].type == "response.created" and number == 5
        rest = [*client.responses.retrieve(name, stream=True, starting_after=number)]
        assert [event.sequence_number for event in rest] == [*range(6, 6 + len(rest))]
        assert (
            rest[-1].type == "response.completed"
            and rest[-1].response.output_text == "x\na b c d e f g h i j"
        )
        said = [event.delta for event in [*first, *rest] if event.type == "response.output_text.delta"]
        assert "".join(said) == rest[-1].response.output_text
        whole = [*client.responses.retrieve(name, stream=True)]
        assert whole == [*first, *rest]
        plain = client.responses.create(model="slow", input="y")
        (end,) = client.responses.retrieve(plain.id, stream=True)  # nobody follows it: there is its end alone
        assert end.type == "response.completed" and end.response.output_text == plain.output_text
        broken = [*client.responses.create(model="broken", input="x", background=True, stream=True)]
        assert broken[-1].type == "response.failed" and "broke" in broken[-1].response.error.message
        ended = client.responses.create(model="endless", input="x", background=True, stream=True)
        left = next(ended).response.id
        assert client.responses.cancel(left).status == "cancelled"
        assert [event.type for event in ended][-1] != "response.completed"
        with pytest.raises(openai.BadRequestError, match="store"):
            client.responses.create(model="slow", input="x", background=True, store=False)
        head = {"Idempotency-Key": "one"}
        twice: list[Any] = [
            client.responses.create(model="endless", input="x", background=True, extra_headers=head)
            for _ in range(2)
        ]
        assert twice[0].id == twice[1].id
        with pytest.raises(openai.ConflictError):
            client.responses.create(model="endless", input="y", background=True, extra_headers=head)
    server.kill()
    server = Server(tmp_path, config=SLOW)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=secret, max_retries=0) as made:
        client = made
        assert client.responses.retrieve(name).output_text == rest[-1].response.output_text
        assert [*client.responses.retrieve(name, stream=True, starting_after=number)] == rest
        more = client.responses.create(model="slow", input="z", previous_response_id=plain.id)
        items = client.responses.input_items.list(more.id).data
        assert [item.content[0].text for item in items] == ["y", plain.output_text, "z"]
        stopped = client.responses.retrieve(twice[0].id)
        assert stopped.status == "failed" and "stopped" in stopped.error.message
        client.responses.delete(name)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(name)
    assert server.stop() == 0
    assert "Traceback" not in server.log(), server.log()

"""Tools and structured answers of remote models: sent in their own dialect, given back in the caller's, held to the schema."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from tests.serving import Server
from tests.upstream import Upstream, called, says

SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "description": "of a city", "parameters": SCHEMA},
}
FLAT: Any = {"type": "function", "name": "weather", "description": "of a city", "parameters": SCHEMA}
BLOCK: Any = {"name": "weather", "description": "of a city", "input_schema": SCHEMA}
ROME, PARIS = called("weather", '{"city": "Rome"}'), called("weather", '{"city": "Paris"}', "call_b")
BOTH = says("Let me look.", ROME, PARIS)
ASKED: Any = [{"role": "user", "content": "Where is it warmer?"}]
SCRIPT = {
    "both": [BOTH],
    "one": [says(None, ROME)],
    "learns": [says(None, called("weather", '{"city": "Oslo"}')), says(None, ROME)],
    "never": [says(None, called("weather", '{"city": "Oslo"}'))],
    "unknown": [says(None, called("erase", "{}"))],
    "broken": [says(None, called("weather", '{"city": '))],
    "words": [says("It is warm.")],
    "quotes": [says('<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>')],
    "cut": [says("Well: ", called("weather", '{"city": "Ro'), finish="length")],
    "json": [says('{"city": "Rome"}')],
    "rude": [says(None, called("weather", '{"city": "shit"}'))],
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    made = Upstream(script={name: [*choices] for name, choices in SCRIPT.items()})
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    target = '{{ engine = "openai_chat", model = "{0}", params = {{ base_url = "{1}", retries = 0 }} }}'
    models = [
        f'[[models]]\nname = "far-{name}"\ntargets = [{target.format(name, upstream.url)}]\n'
        for name in SCRIPT
    ]
    config = "[guard]\noutput = { profanity = {} }\n" + "\n".join(models)
    made = Server(tmp_path_factory.mktemp("remote"), config=config)
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as made:
        yield made


@pytest.fixture
def claude(server: Server) -> Iterator[Any]:
    with anthropic.Anthropic(base_url=server.url, api_key=server.key, max_retries=0) as made:
        yield made


def entries(server: Server, run: str) -> list[dict[str, Any]]:
    """What the record says of a call."""
    with server.client() as http:
        found = http.get("/v1/audit", params={"subject": f"run/{run}", "last": 100}).json()["data"]
    return [*found]


def test_tools_reach_a_remote_model_as_they_are_and_its_calls_come_back(
    client: Any, upstream: Upstream
) -> None:
    made = client.chat.completions.create(
        model="far-both", messages=ASKED, tools=[WEATHER], tool_choice="required", parallel_tool_calls=True
    )
    sent = upstream.last("both")
    assert sent["tools"] == [WEATHER] and sent["tool_choice"] == "required" and sent["parallel_tool_calls"]
    assert [turn["role"] for turn in sent["messages"]] == ["user"], "nothing of them is put into words"
    choice = made.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Let me look.")
    assert [call.to_dict() for call in choice.message.tool_calls or ()] == [ROME, PARIS]
    assert made.usage and made.usage.total_tokens == 18
    turns: Any = [
        *ASKED,
        choice.message.to_dict(),
        {"role": "tool", "tool_call_id": "call_a", "content": "31"},
        {"role": "tool", "tool_call_id": "call_b", "content": "19"},
    ]
    one: Any = {"type": "function", "function": {"name": "weather"}}
    client.chat.completions.create(model="far-both", messages=turns, tools=[WEATHER], tool_choice=one)
    sent = upstream.last("both")
    assert sent["tool_choice"] == one
    assert sent["messages"] == [
        ASKED[0],
        {"role": "assistant", "content": "Let me look.", "tool_calls": [ROME, PARIS]},
        {"role": "tool", "tool_call_id": "call_a", "content": "31"},
        {"role": "tool", "tool_call_id": "call_b", "content": "19"},
    ]


def test_a_streamed_call_comes_whole_after_the_words(client: Any, upstream: Upstream) -> None:
    head = {"Idempotency-Key": "streamed calls"}
    for _ in range(2):  # the second time it is given again
        chunks = [*client.chat.completions.create(
            model="far-both", messages=ASKED, tools=[WEATHER], stream=True, extra_headers=head
        )]  # fmt: skip
        choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
        assert "".join(choice.delta.content or "" for choice in choices) == "Let me look."
        calls = [call for choice in choices for call in choice.delta.tool_calls or ()]
        assert [(call.index, call.id) for call in calls] == [(0, "call_a"), (1, "call_b")]
        assert [call.function and call.function.arguments for call in calls] == [
            '{"city": "Rome"}', '{"city": "Paris"}',
        ]  # fmt: skip
        assert choices[-1].finish_reason == "tool_calls"
    assert upstream.last("both")["stream"] is True


def test_messages_carry_tools_both_ways(claude: Any, upstream: Upstream) -> None:
    asked: Any = {"model": "far-both", "max_tokens": 50, "messages": ASKED, "tools": [BLOCK]}
    single = {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}}
    assert claude.messages.create(**{**asked, **single, "model": "far-one"}).stop_reason == "tool_use"
    sent = upstream.last("one")
    assert sent["tools"] == [WEATHER] and sent["tool_choice"] == "required"
    assert sent["parallel_tool_calls"] is False
    with pytest.raises(anthropic.APIStatusError, match="several tools at once"):
        claude.messages.create(**asked, **single)
    made = claude.messages.create(**asked)
    assert made.stop_reason == "tool_use"
    assert [block.type for block in made.content] == ["text", "tool_use", "tool_use"]
    uses: list[Any] = [block for block in made.content if block.type == "tool_use"]
    assert [use.input for use in uses] == [{"city": "Rome"}, {"city": "Paris"}]
    with claude.messages.stream(**asked) as stream:
        again = stream.get_final_message()
    assert [(b.type, getattr(b, "input", None)) for b in again.content] == [
        (b.type, getattr(b, "input", None)) for b in made.content
    ]
    results = [{"type": "tool_result", "tool_use_id": use.id, "content": "31"} for use in uses]
    back = {"role": "user", "content": [*results, {"type": "text", "text": "Well?"}]}
    said = {"role": "assistant", "content": [block.to_dict() for block in made.content]}
    claude.messages.create(**{**asked, "messages": [*ASKED, said, back]})
    turns = upstream.last("both")["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "tool", "tool", "user"]
    assert [turn["tool_call_id"] for turn in turns[2:4]] == [call["id"] for call in turns[1]["tool_calls"]]


def test_responses_carry_tools_both_ways(client: Any, upstream: Upstream) -> None:
    made = client.responses.create(model="far-both", input="Where?", tools=[FLAT])
    assert upstream.last("both")["tools"] == [WEATHER] and upstream.last("both")["tool_choice"] == "auto"
    assert [item.type for item in made.output] == ["message", "function_call", "function_call"]
    assert made.output_text == "Let me look."
    calls: list[Any] = [item for item in made.output if item.type == "function_call"]
    assert [(call.call_id, call.arguments) for call in calls] == [
        ("call_a", '{"city": "Rome"}'), ("call_b", '{"city": "Paris"}'),
    ]  # fmt: skip
    with client.responses.stream(model="far-both", input="Where?", tools=[FLAT]) as stream:
        events = [*stream]
        again = stream.get_final_response()
    assert [item.type for item in again.output] == [item.type for item in made.output]
    assert [event.type for event in events].count("response.function_call_arguments.done") == 2
    assert [event.sequence_number for event in events] == [*range(len(events))]
    results: Any = [{"type": "function_call_output", "call_id": c.call_id, "output": "31"} for c in calls]
    third = client.responses.create(
        model="far-both", input=results, tools=[FLAT], previous_response_id=made.id
    )  # fmt: skip
    listed = [item.type for item in client.responses.input_items.list(third.id).data]
    assert listed == ["message", "message", *["function_call"] * 2, *["function_call_output"] * 2]
    carried = upstream.last("both")["messages"]
    client.responses.create(
        model="far-both", input=[ASKED[0], *(item.to_dict() for item in made.output), *results], tools=[FLAT]
    )  # fmt: skip
    for turns in (carried, upstream.last("both")["messages"]):
        assert [turn["role"] for turn in turns] == ["user", "assistant", "tool", "tool"]
        assert turns[1]["tool_calls"] == [ROME, PARIS]
        assert [turn["tool_call_id"] for turn in turns[2:]] == ["call_a", "call_b"]


def test_a_call_that_does_not_fit_is_asked_for_again_and_the_record_has_both(
    server: Server, client: Any
) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="far-learns", messages=ASKED, tools=[WEATHER], stream=True
    )
    calls = [c for chunk in raw.parse() for c in (chunk.choices[0].delta.tool_calls or ())]
    assert [call.function and call.function.arguments for call in calls] == ['{"city": "Rome"}']
    found = entries(server, raw.headers["x-bottega-run-id"])
    assert [entry["act"].rpartition(":")[2] for entry in found] == ["leased", "failed", "leased", "finished"]
    assert found[0]["detail"]["params"]["tools"] == [WEATHER]
    assert "'Oslo' is not one of" in found[1]["detail"]["error"]


@pytest.mark.parametrize(
    ("model", "choice", "told"),
    [
        ("never", "auto", "the arguments of 'weather' do not fit its schema: $.city: 'Oslo' is not one of"),
        ("unknown", "auto", "the model calls 'erase', which it may not here"),
        ("broken", "auto", "the arguments of 'weather' are no JSON"),
        ("words", "required", "the model calls no tool, and it had to"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_never_fits_is_a_clear_error(
    server: Server, model: str, choice: str, told: str, stream: bool
) -> None:
    body = {"model": f"far-{model}", "messages": ASKED, "tools": [WEATHER], "tool_choice": choice}
    with server.client() as http:
        answer = http.post("/v1/chat/completions", json={**body, "stream": stream})
    assert told in answer.text, answer.text
    assert answer.status_code == 502 or (stream and model == "words"), "its words were out already"


def test_words_that_look_like_a_call_are_words(client: Any) -> None:
    text = SCRIPT["quotes"][0]["message"]["content"]
    made = client.chat.completions.create(model="far-quotes", messages=ASKED, tools=[WEATHER])
    assert made.choices[0].message.content == text and not made.choices[0].message.tool_calls
    chunks = [*client.chat.completions.create(
        model="far-quotes", messages=ASKED, tools=[WEATHER], stream=True
    )]  # fmt: skip
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text
    assert not any(chunk.choices[0].delta.tool_calls for chunk in chunks)


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_was_cut_is_words(server: Server, stream: bool) -> None:
    body = {"model": "far-cut", "messages": ASKED, "tools": [WEATHER], "stream": stream}
    with server.client() as http:
        answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    if stream:
        assert '"finish_reason":"length"' in answer.text and "tool_calls" not in answer.text
        return
    choice = answer.json()["choices"][0]
    assert choice["finish_reason"] == "length" and "tool_calls" not in choice["message"]
    assert choice["message"]["content"].endswith('{"name": "weather", "arguments": {"city": "Ro')


@pytest.mark.parametrize("stream", [False, True])
def test_a_guard_judges_what_is_called(server: Server, stream: bool) -> None:
    loose = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    body = {"model": "far-rude", "messages": ASKED, "tools": [loose], "stream": stream}
    with server.client() as http:
        answer = http.post("/v1/chat/completions", json=body)
    assert "the output is refused by 'profanity'" in answer.text and "tool_calls" not in answer.text


def test_the_shape_of_an_answer_travels_as_it_is_and_holds(server: Server, upstream: Upstream) -> None:
    shape = {"name": "place", "strict": True, "schema": SCHEMA}
    form = {"type": "json_schema", "json_schema": shape}
    asked: dict[str, Any] = {"messages": ASKED, "response_format": form}
    with server.client() as http:
        made = http.post("/v1/chat/completions", json={"model": "far-json", **asked})
        assert json.loads(made.json()["choices"][0]["message"]["content"]) == {"city": "Rome"}
        assert upstream.last("json")["response_format"] == form
        whole = {"model": "far-json", "input": "Where?", "text": {"format": {"type": "json_schema", **shape}}}
        assert json.loads(http.post("/v1/responses", json=whole).json()["output"][0]["content"][0]["text"])
        assert upstream.last("json")["response_format"] == form
        config = {"format": {"type": "json_schema", "schema": SCHEMA}}
        block = {"model": "far-json", "max_tokens": 9, "messages": ASKED, "output_config": config}
        assert json.loads(http.post("/v1/messages", json=block).json()["content"][0]["text"])
        assert upstream.last("json")["response_format"]["json_schema"]["schema"] == SCHEMA
        loose = {"model": "far-json", "messages": ASKED, "response_format": {"type": "json_object"}}
        assert http.post("/v1/chat/completions", json=loose).status_code == 200
        assert upstream.last("json")["response_format"] == {"type": "json_object"}
        wrong = http.post("/v1/chat/completions", json={"model": "far-words", **asked})
        assert wrong.status_code == 502 and "the answer is no JSON" in wrong.json()["error"]["message"]
        shape["schema"] = {"type": "object", "required": ["country"]}
        wrong = http.post("/v1/chat/completions", json={"model": "far-json", **asked})
        assert wrong.status_code == 502 and "'country' is a required" in wrong.json()["error"]["message"]
        shape["schema"] = {"type": "thing"}
        wrong = http.post("/v1/chat/completions", json={"model": "far-json", **asked})
        assert wrong.status_code == 400 and "no JSON Schema" in wrong.json()["error"]["message"]
        tool = {"type": "function", "function": {"name": "odd", "parameters": {"type": "thing"}}}
        wrong = http.post(
            "/v1/chat/completions", json={"model": "far-one", "messages": ASKED, "tools": [tool]}
        )
        assert wrong.status_code == 400 and "the parameters of 'odd'" in wrong.json()["error"]["message"]


@pytest.mark.weights("smollm2-135m-instruct")
def test_a_real_model_behind_another_server_calls_a_tool(tmp_path: Path) -> None:
    behind = Server(tmp_path / "behind")
    target = f'engine = "openai_chat", model = "small", params = {{ base_url = "{behind.url}/v1" }}'
    config = f'[[models]]\nname = "far"\ntargets = [{{ {target} }}]\n'
    server = Server(tmp_path / "front", config=config, environment={"BOTTEGA_OPENAI_API_KEY": behind.key})
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as made:
        client: Any = made
        asked = {
            "model": "far",
            "messages": ASKED,
            "tools": [WEATHER],
            "tool_choice": "required",
            "max_tokens": 60,
        }
        (call,) = client.chat.completions.create(**asked).choices[0].message.tool_calls
        assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")
        back = [
            *ASKED,
            {"role": "assistant", "content": None, "tool_calls": [call.to_dict()]},
            {"role": "tool", "tool_call_id": call.id, "content": "31 degrees"},
        ]
        stream = client.chat.completions.create(
            model="far", messages=back, tools=[WEATHER], max_tokens=30, stream=True
        )
        chunks = [chunk for chunk in stream if chunk.choices]
        assert chunks[-1].choices[0].finish_reason in ("stop", "length", "tool_calls")
    assert (server.stop(), behind.stop()) == (0, 0)

"""What a route takes of its dialect: done as asked, or refused by name."""

import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from tests.serving import Server
from tests.unit.server.test_body import FIELDS, TYPED, asked

from bottega.server.table import TABLE

FORMS = {route.path for route in TABLE if route.form and not route.body}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("surface"), environment={"BOTTEGA_THREADS": "1"})
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log(), made.log()


@pytest.mark.weights("potion-base-8m")
@pytest.mark.weights("arctic-embed-s")
@pytest.mark.parametrize("model", ["potion-base-8m", "arctic-embed-s"])
def test_tokens_are_embedded_as_the_text_that_they_are_of(server: Server, model: str) -> None:
    texts = ["A quiet kettle.", "A motorway, at night?"]
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as client:
        rows = [
            client.post("/tokenize", body={"model": model, "prompt": each}, cast_to=dict[str, Any])["tokens"]
            for each in texts
        ]
        said = client.embeddings.create(model=model, input=texts, encoding_format="float").data
        told = client.embeddings.create(
            model=model, input=rows
        ).data  # the client asks for base64 and reads it
        alone = client.embeddings.create(model=model, input=rows[0], encoding_format="float").data
    for one, other in zip(said, told, strict=True):
        assert np.allclose(one.embedding, other.embedding, atol=1e-6)
    assert len(alone) == 1 and np.allclose(alone[0].embedding, said[0].embedding, atol=1e-6)


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({"model": "potion-base-8m", "input": [1, 10_000_000]}, "input", "no token 10000000"),
        ({"model": "potion-base-8m", "input": [[1], []]}, "input", "none of them empty"),
        ({"model": "potion-base-8m", "input": ["a", 1]}, "input", "mixed"),
        ({"model": "use-multilingual", "input": [1]}, "input", "tokenizer"),
        ({"model": "potion-base-8m", "input": "x", "encoding_format": "int8"}, "encoding_format", "base64"),
        ({"model": "potion-base-8m", "input": "x", "dimensions": 257}, "dimensions", "has 256"),
        ({"model": "arctic-embed-s", "input": "x", "dimensions": 100}, "dimensions", "potion-base-8m"),
    ],
)
def test_what_a_model_cannot_embed_is_refused(server: Server, body: Any, param: str, said: str) -> None:
    with server.client() as client:
        answer = client.post("/v1/embeddings", json=body)
    told = answer.json()["error"]
    assert (answer.status_code, told["param"]) == (400, param) and said in told["message"], answer.text


@pytest.mark.weights("potion-base-8m")
@pytest.mark.weights("arctic-embed-s")
def test_dimensions_are_those_that_say_most(server: Server) -> None:
    with server.client() as client:

        def vector(**more: Any) -> Any:
            body = {"model": "potion-base-8m", "input": "kettle", **more}
            answer = client.post("/v1/embeddings", json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()["data"][0]["embedding"]

        whole, short = np.array(vector()), np.array(vector(dimensions=64))
        coded = np.frombuffer(base64.b64decode(vector(encoding_format="base64")), "<f4")
        assert np.allclose(whole, coded)
        assert np.allclose(short, whole[:64] / np.linalg.norm(whole[:64]))
        assert len(vector(model="arctic-embed-s", dimensions=384)) == 384


def test_what_is_not_done_is_refused_over_http_in_the_dialects_own_form(server: Server) -> None:
    with server.client() as client:
        for path, shape, name, _ in FIELDS:
            body = asked(shape, name, TYPED.get(name, "something else"))
            if path in FORMS:
                continue
            answer = client.post(path, content=body)
            told = answer.json()["error"]
            assert answer.status_code == 400, (path, name, answer.text)
            if path.startswith("/v1/messages"):
                assert set(told) == {"type", "message"} and told["message"].startswith(f"{name}: ")
            else:
                assert set(told) == {"message", "type", "param", "code"} and told["param"] == name


def test_a_field_of_a_form_is_refused_by_name(server: Server) -> None:
    with server.client() as client:
        files = {"file": ("a.wav", b"RIFF", "audio/wav")}
        for path, field, param in (
            ("/v1/audio/transcriptions", {"timestamp_granularities[]": "letter"}, "timestamp_granularities"),
            ("/v1/audio/transcriptions", {"include[]": "logprobs"}, "include"),
            ("/v1/audio/transcriptions", {"stream": "true", "response_format": "srt"}, "response_format"),
            ("/v1/audio/translations", {"temperature": "0.5"}, "temperature"),
            ("/v1/files", {"expires_after[anchor]": "created_at"}, "expires_after"),
        ):
            answer = client.post(path, files=files, data=field)
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


@pytest.mark.weights("smollm2-135m-instruct")
def test_a_completion_tells_its_prompt_and_its_log_probabilities(server: Server) -> None:
    asked: Any = {"model": "small", "prompt": "One, two,", "max_tokens": 4, "temperature": 0}
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as made:
        client: Any = made
        plain = client.completions.create(**asked).choices[0]
        echoed = client.completions.create(**asked, echo=True).choices[0]
        assert plain.logprobs is None and echoed.text == f"One, two,{plain.text}"
        stream = [*client.completions.create(**asked, echo=True, stream=True)]
        assert stream[0].choices[0].text == "One, two,"
        logs = client.completions.create(**asked, logprobs=2).choices[0].logprobs
        pieces = [chunk.choices[0] for chunk in client.completions.create(**asked, logprobs=2, stream=True)]
    assert logs is not None and logs.tokens and logs.top_logprobs and logs.text_offset
    assert all(value <= 0 for value in logs.token_logprobs or ()) and len(logs.top_logprobs[0]) == 2
    assert logs.text_offset[:2] == [0, len(logs.tokens[0])]
    assert [
        piece.logprobs.tokens[0] for piece in pieces if piece.logprobs and piece.logprobs.tokens
    ] == logs.tokens


@pytest.mark.weights("smollm2-135m-instruct")
def test_biases_and_penalties_change_what_is_said(server: Server) -> None:
    asked: Any = {
        "model": "small", "messages": [{"role": "user", "content": "Say: no no no no no no no no"}], "max_tokens": 12,
        "temperature": 0, "logprobs": True,
    }  # fmt: skip
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as made:
        client: Any = made

        def said(**more: Any) -> list[str]:
            logs = client.chat.completions.create(**asked, **more).choices[0].logprobs
            assert logs is not None and logs.content
            return [each.token for each in logs.content]

        usual = said()
        told = {"model": "small", "prompt": usual[0], "add_special_tokens": False}
        first = client.post("/tokenize", body=told, cast_to=dict[str, Any])["tokens"][0]
        assert said(logit_bias={str(first): -100})[0] != usual[0]
        assert len({*said(frequency_penalty=2)}) > len({*usual})
        with pytest.raises(openai.BadRequestError, match="is no token"):
            said(logit_bias={"no": 1})


def test_what_a_key_may_still_use_stands_in_the_headers(tmp_path: Path) -> None:
    server = Server(tmp_path, config="requests_per_minute = 600\n")
    accounts = ["key:app", "project:kettles"]
    with server.client() as admin, server.client(server.make_key("app", charge=accounts)) as client:
        body = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}

        def told() -> dict[str, str]:
            answer = client.post("/v1/chat/completions", json=body)
            found = {name: value for name, value in answer.headers.items() if name.startswith("x-ratelimit-")}
            return {name.removeprefix("x-ratelimit-"): value for name, value in found.items()}

        assert {name for name in told() if not name.endswith("requests")} == set()
        for account, most in zip(accounts, (1000, 2000), strict=True):
            limit = {"unit": "word", "limit": most, "period": "hour"}
            assert limited(admin, account, limit)
        time.sleep(1.1)  # that there was no limit is believed for a second
        first, second = told(), told()
        assert (first["limit-requests"], first["limit-words"]) == ("600", "1000")
        assert int(second["remaining-requests"]) < 600
        assert first["remaining-words"] == "997" and second["remaining-words"] in (
            "994",
            "997",
        )  # of a new hour
        assert re.fullmatch(r"(\d+m)?\d+s", second["reset-words"])
        assert "x-ratelimit-limit-requests" not in client.get("/v1/models").headers
        limit = {"unit": "word", "limit": 415, "period": "hour"}  # the most that this call can use is 413
        assert limited(admin, "key:app", limit)
        answers = [client.post("/v1/chat/completions", json=body) for _ in range(3)]
        refused = next(each for each in answers if each.status_code == 429)
        assert int(refused.headers["x-ratelimit-remaining-words"]) < 413
    assert server.stop() == 0


def limited(admin: httpx.Client, account: str, limit: Any) -> bool:
    """Set a limit."""
    return admin.put(f"/v1/budgets/{account}", json=limit).status_code == 200


@pytest.mark.weights("kokoro-82m")
@pytest.mark.weights("whisper-base")
def test_a_transcript_comes_stretch_by_stretch_and_is_told_how_names_are_spelled(server: Server) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as made:
        client: Any = made
        words = "The kettle is ready, Jonquil. It boils in four minutes."
        sound = client.audio.speech.create(
            model="speech", voice="af_heart", input=words, response_format="wav"
        )
        asked: Any = {"model": "transcribe", "file": ("said.wav", sound.read())}
        events = [*client.audio.transcriptions.create(**asked, stream=True)]
        whole = client.audio.transcriptions.create(
            **asked, response_format="verbose_json", timestamp_granularities=["word", "segment"]
        )
        told = client.audio.transcriptions.create(**asked, prompt="Dear Johnquille, hello Johnquille.")
    assert [event.type for event in events][-1] == "transcript.text.done" and len(events) >= 2
    said = "".join(event.delta for event in events[:-1])
    assert said == events[-1].text == whole.text == "".join(each.text for each in whole.segments).strip()
    assert whole.segments[0].avg_logprob < 0 and whole.words
    assert "Johnquille" in told.text and "Johnquille" not in whole.text


def test_answers_are_as_the_document_says_where_no_other_test_asks(server: Server) -> None:
    """The client holds every answer to the document (`tests.serving.promised`)."""
    said = [{"role": "user", "content": "hello"}]
    with server.client() as client:
        made = client.post("/v1/responses", json={"model": "echo", "input": "hello"}).json()["id"]
        answers = [
            client.get("/v1/models/echo"),
            client.post("/v1/completions", json={"model": "echo", "prompt": "hello"}),
            client.post("/v1/messages/count_tokens", json={"model": "echo", "messages": said}),
            client.post("/v1/moderations", json={"input": ["hello", "shit"]}),
            client.delete(f"/v1/responses/{made}"),
        ]
    assert [answer.status_code for answer in answers] == [200] * len(answers), [each.text for each in answers]

"""Vectors of remote models through the API: budget, policy, record, routes and breaker as for every call."""

from collections.abc import Iterator

import openai
import pytest
from tests.serving import Server
from tests.upstream import Upstream, letters

CONFIG = """
[guard]
input = {{ personal_data = {{}} }}

[[models]]
name = "far"
targets = [{{ {far}, price_in = 1000.0, query_prefix = "query: " }} }}]

[[models]]
name = "route"
retries = 0
targets = [
  {{ {ill}, retries = 0 }} }},
  {{ {other} }}, weight = 0.0 }},
]

[[models]]
name = "short"
targets = [{{ {short} }} }}]
"""
TARGET = 'engine = "openai_embeddings", model = "{0}", params = {{ base_url = "{1}"'


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    made = Upstream(script={"ill": [{"status": 503}], "short": [{"data": {"data": []}}]})
    yield made
    made.close()


def written(upstream: Upstream) -> str:
    return CONFIG.format(
        **{name: TARGET.format(name, upstream.url) for name in ("far", "ill", "other", "short")}
    )


@pytest.fixture(scope="module")
def server(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("vectors"), config=written(upstream))
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log()


def acts(server: Server, run: str) -> list[str]:
    with server.client() as http:
        found = http.get("/v1/audit", params={"subject": f"run/{run}", "last": 100}).json()["data"]
    return [entry["act"].rpartition(":")[2] for entry in found]


def cosine(one: str, two: str) -> float:
    a, b = letters(one), letters(two)
    return (
        sum(x * y for x, y in zip(a, b, strict=True)) / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5
    )


def test_embeddings_of_a_remote_model_are_counted_and_recorded(server: Server, upstream: Upstream) -> None:
    key = server.make_key("embedder", charge=["project:vectors"])
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) as client:
        raw = client.embeddings.with_raw_response.create(model="far", input=["abc", "zz"])
        short = client.embeddings.create(model="far", input="abc", dimensions=2)
    made = raw.parse()
    assert [round(sum(x * x for x in row.embedding), 4) for row in made.data] == [1.0, 1.0]
    assert made.data[1].embedding[25] == pytest.approx(1.0) and made.usage.prompt_tokens == 5
    run = raw.headers["x-bottega-run-id"]
    assert acts(server, run) == ["leased", "finished"]
    with server.client() as http:
        entry = http.get("/v1/audit", params={"subject": f"run/{run}", "last": 9}).json()["data"][0]
        assert (entry["detail"]["engine"], entry["detail"]["model"]) == ("openai_embeddings", "far")
        rows = {row["unit"]: row for row in http.get("/v1/budgets").json()["data"]}
    assert (rows["token"]["spent"], rows["token"]["reserved"]) == ("8", "0")
    assert float(rows["usd"]["spent"]) == pytest.approx(0.008)
    assert len(short.data[0].embedding) == 2
    assert upstream.last("far")["dimensions"] == 2


def test_nearness_is_told_by_a_remote_model(server: Server, upstream: Upstream) -> None:
    documents = ["zebra", "kettle for tea", "tea"]
    with server.client() as http:
        body = {"model": "far", "query": "tea", "documents": documents}
        ranked = http.post("/v1/rerank", json=body).json()["results"]
        pairs = http.post("/v1/score", json={"model": "far", "text_1": "tea", "text_2": documents}).json()
    assert upstream.asked[-2]["input"] == ["query: tea"]
    assert ranked[-1]["index"] == 0
    scores = [each["score"] for each in pairs["data"]]
    assert scores == pytest.approx([cosine("tea", each) for each in documents], abs=1e-5)


def test_the_next_target_answers_and_an_ill_one_is_left_alone(server: Server, upstream: Upstream) -> None:
    with server.client() as http:
        first = http.post("/v1/embeddings", json={"model": "route", "input": "abc"})
        assert first.status_code == 200, first.text
        assert acts(server, first.headers["x-bottega-run-id"]) == ["leased", "failed", "leased", "finished"]
        for _ in range(7):
            assert http.post("/v1/embeddings", json={"model": "route", "input": "abc"}).status_code == 200
    assert sum(each["model"] == "ill" for each in upstream.asked) == 5


def test_an_answer_without_vectors_is_the_engines_fault(server: Server) -> None:
    with server.client() as http:
        answer = http.post("/v1/embeddings", json={"model": "short", "input": "abc"})
    assert answer.status_code == 502 and "0 vectors for 1 texts" in answer.json()["error"]["message"]


def test_a_budget_and_a_guard_refuse_before_anything_leaves(server: Server, upstream: Upstream) -> None:
    key = server.make_key("poor", charge=["project:poor"])
    with server.client() as http:
        set_ = http.put("/v1/budgets/project:poor", json={"unit": "token", "limit": 3})
        assert set_.status_code == 200, set_.text
    asked = len(upstream.asked)
    with server.client(key) as http:
        refused = http.post("/v1/embeddings", json={"model": "far", "input": "abc"})
        assert refused.status_code == 402, refused.text
    with server.client() as http:
        guarded = http.post("/v1/embeddings", json={"model": "far", "input": "write to jo@example.org"})
    assert guarded.status_code == 403 and "'personal_data'" in guarded.text
    assert len(upstream.asked) == asked


def test_nothing_leaves_a_server_that_stays_local(
    upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = Server(tmp_path_factory.mktemp("local"), config="local_only = true\n" + written(upstream))
    asked = len(upstream.asked)
    with made.client() as http:
        answer = http.post("/v1/embeddings", json={"model": "far", "input": "abc"})
        assert answer.status_code == 403 and "local_only" in answer.text
        assert "far" not in {each["id"] for each in http.get("/v1/models").json()["data"]}
    assert len(upstream.asked) == asked and made.stop() == 0

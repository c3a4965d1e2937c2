"""What is compared: each arm indexes the documents and gives its ways to search, by name."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from bottega.catalog.catalog import Catalog
from bottega.retrieval import embed
from bottega.retrieval.collections.collection import Collection, Method
from bottega.retrieval.collections.indexing import Indexer, Tools
from bottega.settings import Settings

Search = Callable[[str], list[str]]
MODEL = embed.DEFAULT


@cache
def embedder() -> tuple[embed.Embedder, str]:
    catalog = Catalog(Settings().home)
    return embed.load(MODEL, catalog, Settings().threads), catalog.get(MODEL).digest


def random_passages() -> None:
    """From now on passages get random vectors, which cost nothing; questions are embedded as ever."""
    chance = np.random.default_rng(1)

    def passages(texts: Sequence[str]) -> embed.Vectors:
        rows = chance.standard_normal((len(texts), embedder()[0].dimensions)).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    setattr(embedder()[0], "passages", passages)  # noqa: B010 - the protocol has no setter


async def bottega(documents: Mapping[str, str], folder: Path, top: int) -> dict[str, Search]:
    files = folder / "files"
    files.mkdir(parents=True)
    for name, text in documents.items():
        (files / f"{name}.md").write_text(text, "utf-8")
    made, weights = embedder()
    indexer = Indexer(folder / "collection", Tools(embedder=made, weights=weights))
    await indexer.index([files])
    indexer.close()
    collection = Collection(folder / "collection", lambda _: embedder())

    def by(method: Method) -> Search:
        def search(question: str) -> list[str]:
            hits = collection.search(
                question, top=top * 5 // 2, method=method
            )  # a document has several passages
            return [*dict.fromkeys(Path(hit.document.name).stem for hit in hits)][:top]

        return search

    methods: tuple[Method, ...] = ("words", "vectors", "rrf", "fusion")
    return {f"bottega {method}": by(method) for method in methods}


async def llamaindex(documents: Mapping[str, str], folder: Path, top: int) -> dict[str, Search]:
    core: Any = import_module("llama_index.core")
    retrievers: Any = import_module("llama_index.core.retrievers")
    bm25: Any = import_module("llama_index.retrievers.bm25")
    base: Any = import_module("llama_index.core.embeddings").BaseEmbedding

    class Ours(base):  # type: ignore[misc]
        """Our embedder in LlamaIndex's form."""

        def _get_query_embedding(self, query: str) -> list[float]:
            return embedder()[0].query(query).tolist()

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

        def _get_text_embedding(self, text: str) -> list[float]:
            return embedder()[0].passages([text])[0].tolist()

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return embedder()[0].passages(texts).tolist()

    given = [core.Document(text=text, id_=name) for name, text in documents.items()]
    nodes = core.node_parser.SentenceSplitter().get_nodes_from_documents(given)
    index = core.VectorStoreIndex(nodes, embed_model=Ours())
    vectors = index.as_retriever(similarity_top_k=top)
    words = bm25.BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=top, language="english")
    both = retrievers.QueryFusionRetriever(
        [vectors, words], llm=core.llms.MockLLM(), num_queries=1, similarity_top_k=top, mode="reciprocal_rerank", use_async=False
    )  # fmt: skip

    def by(retriever: Any) -> Search:
        return lambda question: [*dict.fromkeys(hit.node.ref_doc_id for hit in retriever.retrieve(question))]

    return {"llamaindex words": by(words), "llamaindex vectors": by(vectors), "llamaindex rrf": by(both)}


async def haystack(documents: Mapping[str, str], folder: Path, top: int) -> dict[str, Search]:
    data: Any = import_module("haystack")
    stores: Any = import_module("haystack.document_stores.in_memory")
    retrievers: Any = import_module("haystack.components.retrievers.in_memory")
    joiners: Any = import_module("haystack.components.joiners")
    store = stores.InMemoryDocumentStore()
    vectors_of = embedder()[0].passages([*documents.values()])
    store.write_documents(
        [
            data.Document(content=text, meta={"name": name}, embedding=vector.tolist())
            for (name, text), vector in zip(documents.items(), vectors_of, strict=True)
        ]
    )
    words = retrievers.InMemoryBM25Retriever(store, top_k=top)
    vectors = retrievers.InMemoryEmbeddingRetriever(store, top_k=top)
    joiner = joiners.DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=top)

    def by_words(question: str) -> list[Any]:
        return words.run(query=question)["documents"]

    def by_vectors(question: str) -> list[Any]:
        return vectors.run(query_embedding=embedder()[0].query(question).tolist())["documents"]

    def names(found: list[Any]) -> list[str]:
        return [each.meta["name"] for each in found]

    return {
        "haystack words": lambda question: names(by_words(question)),
        "haystack vectors": lambda question: names(by_vectors(question)),
        "haystack rrf": lambda question: names(
            joiner.run(documents=[by_words(question), by_vectors(question)])["documents"]
        ),
    }


ARMS = (bottega, llamaindex, haystack)

"""Semantic product search: one document a product, and what words, vectors and both of them find of it.

    python examples/product-search/search.py                      # the measured table
    python examples/product-search/search.py "keep my beer cold"  # one question

The state goes to $BOTTEGA_STATE as with every command; needs the model `arctic-embed-s` (`bottega pull arctic-embed-s`).
"""

import csv
import sys
import tempfile
import tomllib
from pathlib import Path

import bottega

HERE = Path(__file__).parent
SHOP = "product-search"
TOP = 5


def documents(folder: Path) -> None:
    """Write each product as a document of its own: a product is found whole or not at all."""
    with (HERE / "products.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            text = f"# {row['name']}\n\n{row['description']}. Category: {row['category']}.\n"
            (folder / f"{row['id']}.md").write_text(text, encoding="utf-8")


def found(question: str, method: str) -> list[str]:
    """The ids of the products, best first."""
    hits = bottega.search(SHOP, question, method=method, top=TOP)
    return [Path(hit.document.name).stem for hit in hits]


def main() -> None:
    """Index, then answer the question given or measure all of `queries.toml`."""
    with tempfile.TemporaryDirectory() as folder:
        products = Path(folder, "products")
        products.mkdir()
        documents(products)
        bottega.index(SHOP, products, prune=True)
    if len(sys.argv) > 1:
        for hit in bottega.search(SHOP, " ".join(sys.argv[1:]), method="vectors", top=TOP):
            print(f"{hit.score:.2f}  {Path(hit.document.name).stem:5}{hit.passage.heading}")
        return
    queries = tomllib.loads((HERE / "queries.toml").read_text("utf-8"))["query"]
    print(
        f"{len(queries)} queries; found: the share with a good product among the first {TOP}; first: on top"
    )
    for method in ("words", "vectors", "fusion"):
        results = [(set(query["good"]), found(query["ask"], method)) for query in queries]
        hits = sum(bool(good & {*ids}) for good, ids in results)
        tops = sum(bool(good & {*ids[:1]}) for good, ids in results)
        print(f"{method:8} found {hits / len(queries):.2f}  first {tops / len(queries):.2f}")


if __name__ == "__main__":
    main()

"""The drawing of the plan: layers, order, no overlap, contrast of the accents."""

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from bottega.delivery.graph import HEIGHT, WIDTH, layout
from bottega.delivery.palette import CONTRAST, NIGHT, PAPER, contrast, palette

graphs = st.integers(1, 35).flatmap(
    lambda n: st.tuples(
        st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=60)
    )
)


@given(graphs)
def test_boxes_never_overlap_and_edges_run_rightwards(graph: tuple[int, list[tuple[int, int]]]):
    count, pairs = graph
    nodes = [f"n{i}" for i in range(count)]
    edges = [(f"n{a}", f"n{b}") for a, b in pairs if a < b]
    drawing = layout(nodes, edges)
    assert drawing == layout(nodes, edges)
    for (_, (x, y)), (_, (u, v)) in combinations(drawing.nodes.items(), 2):
        assert abs(x - u) >= WIDTH or abs(y - v) >= HEIGHT - 0.2
    for points in drawing.edges.values():
        assert all(left[0] < right[0] for left, right in pairwise(points))
    for x, y in drawing.nodes.values():
        assert 0 <= x <= drawing.width - WIDTH and 0 <= y <= drawing.height - HEIGHT + 0.2


def test_a_chain_is_a_straight_line():
    drawing = layout(["a", "b", "c"], [("a", "b"), ("b", "c")])
    assert len({y for _, y in drawing.nodes.values()}) == 1


@given(st.from_regex(r"#[0-9a-f]{6}", fullmatch=True))
def test_any_brand_color_becomes_readable(color: str):
    found = palette([color])
    assert contrast(found.light, PAPER) >= CONTRAST
    assert contrast(found.dark, NIGHT) >= CONTRAST

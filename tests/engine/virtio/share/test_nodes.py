"""Numbers of files: whatever a guest looks up, renames, removes and forgets, the tables agree with each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.virtio.share.nodes import ROOT, Nodes

STEPS = st.lists(
    st.tuples(st.sampled_from(("look up", "forget", "remove", "rename")), *[st.integers(0, 5)] * 4), max_size=60
)


def agree(nodes: Nodes) -> None:
    for (parent, name), number in nodes.numbers.items():
        node = nodes.nodes[number]
        assert (node.parent, node.name) == (parent, name)
        assert parent in nodes.nodes
    children = dict.fromkeys(nodes.nodes, 0)
    for parent, _ in nodes.numbers:
        children[parent] += 1
    assert {number: node.children for number, node in nodes.nodes.items()} == children


@given(STEPS)
def test_the_tables_agree_after_any_steps(steps: list[tuple[str, int, int, int, int]]) -> None:
    nodes = Nodes()
    for kind, first, second, third, fourth in steps:
        known = sorted(nodes.nodes)
        folder, target = known[first % len(known)], known[third % len(known)]
        name, other = bytes((97 + second,)), bytes((97 + fourth,))
        if kind == "look up":
            nodes.look_up(folder, name)
        elif kind == "forget":
            nodes.forget(folder, second)
        elif kind == "remove":
            nodes.removed(folder, name)
        else:
            nodes.renamed(folder, name, target, other)
        agree(nodes)
        for number in nodes.nodes:
            try:
                assert len(nodes.path(number)) <= 1024
            except OSError:
                assert number != ROOT


def test_a_number_follows_its_file_and_another_file_of_the_name_has_another() -> None:
    nodes = Nodes()
    folder = nodes.look_up(ROOT, b"folder")
    file = nodes.look_up(folder, b"file")
    assert nodes.path(file) == (b"folder", b"file")
    nodes.renamed(ROOT, b"folder", ROOT, b"moved")
    assert nodes.path(file) == (b"moved", b"file")
    nodes.removed(folder, b"file")
    assert nodes.look_up(folder, b"file") != file

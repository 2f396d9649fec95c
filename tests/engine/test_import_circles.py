"""No module of the engine imports itself by way of others, not even for its types alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

import tdvfsh

PACKAGE: Final = "tdvfsh.engine"
ROOT: Final = Path(tdvfsh.__file__).parents[1]


def modules() -> dict[str, Path]:
    """The engine's modules by name."""
    found: dict[str, Path] = {}
    for path in (ROOT / PACKAGE.replace(".", "/")).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(tree: ast.AST) -> Iterator[str]:
    """Every module that may be meant by an import statement, wherever it stands: in a function, under TYPE_CHECKING."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports in this project are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def circle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """Modules of a circle, each of which imports the next; the first stands at the end again. Empty without one."""
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def test_no_module_of_the_engine_imports_itself_by_way_of_others() -> None:
    known = modules()
    assert len(known) > 50
    graph = {
        name: {other for other in imports_of(ast.parse(path.read_text(encoding="utf-8"))) if other in known} - {name}
        for name, path in known.items()
    }
    circle = circle_in(graph)
    assert not circle, "a circle of imports:\n  " + "\n  imports ".join(circle)


@pytest.mark.parametrize(
    "source",
    [
        "from tdvfsh.engine.b import thing",
        "from tdvfsh.engine import b",
        "import tdvfsh.engine.b as short",
        "if TYPE_CHECKING:\n    from tdvfsh.engine.b import Thing",
        "def later():\n    from tdvfsh.engine.b import thing",
    ],
)
def test_every_form_of_import_closes_a_circle(source: str) -> None:
    assert "tdvfsh.engine.b" in set(imports_of(ast.parse(source)))


def test_a_circle_is_reported_in_the_order_of_its_imports() -> None:
    graph = {"a": {"b", "d"}, "b": {"c"}, "c": {"a"}, "d": set[str]()}
    circle = circle_in(graph)
    assert len(circle) == 4
    assert all(second in graph[first] for first, second in pairwise(circle))
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": set()}) == []

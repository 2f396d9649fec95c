"""How records are built, all over the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import tdvfsh

PACKAGE = Path(tdvfsh.__file__).parent
MOST_POSITIONAL = 5


def _is_record(node: ast.ClassDef) -> bool:
    """A dataclass or a NamedTuple."""
    marks = [*node.decorator_list, *node.bases]
    return any(word in ast.unparse(mark) for mark in marks for word in ("dataclass", "NamedTuple"))


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name != "__main__.py":
            words = path.relative_to(PACKAGE.parent).with_suffix("").parts
            yield ".".join(words).removesuffix(".__init__"), ast.parse(path.read_text("utf-8"))


def test_no_record_is_built_from_more_than_five_positional_arguments() -> None:
    modules = dict(_modules())
    nodes = [(name, node) for name, tree in modules.items() for node in ast.walk(tree)]
    records = {node.name for _, node in nodes if isinstance(node, ast.ClassDef) and _is_record(node)}
    assert len(records) > 100
    assert [
        f"{name}:{node.lineno}: {node.func.id} from {len(node.args)}"
        for name, node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) > MOST_POSITIONAL
        if node.func.id in records
    ] == []

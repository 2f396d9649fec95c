"""The table of the UEFI Self-Certification Test's conditions is complete, and points at tests that exist."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONDITIONS = tomllib.loads((Path(__file__).parent / "sct.toml").read_text(encoding="utf-8"))["condition"]
FAMILIES = {
    "memory interface": 38,
    "memory function": 76,
    "memory consistency": 43,
    "memory conformance": 9,
    "memory combination": 7,
    "image function": 119,
    "image consistency": 10,
    "image combination": 3,
}


@cache
def names_of_tests(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def test_each_of_the_173_memory_and_132_image_assertions_stands_once() -> None:
    assertions = Counter(assertion for row in CONDITIONS for assertion in row["assertions"])
    assert [assertion for assertion, count in assertions.items() if count > 1] == []
    assert Counter(assertion.rsplit(" ", 1)[0] for assertion in assertions) == FAMILIES
    assert sum(count for family, count in FAMILIES.items() if family.startswith("memory")) == 173
    assert sum(count for family, count in FAMILIES.items() if family.startswith("image")) == 132


def test_every_condition_has_tests_or_says_why_it_does_not_apply() -> None:
    for row in CONDITIONS:
        assert row["condition"]
        assert bool(row.get("tests")) != bool(row.get("not_applicable")), row["condition"]


def test_every_test_that_is_named_exists() -> None:
    missing = [
        name
        for row in CONDITIONS
        for name in row.get("tests", ())
        if name.split("::")[1] not in names_of_tests(name.split("::")[0])
    ]
    assert missing == []

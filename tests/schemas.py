"""The JSON Schemas of what tdvfsh prints, and what is printed held against them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).parent.parent / "docs" / "schemas"
TRACE = "trace"


@cache
def schema_called(name: str) -> Draft202012Validator:
    """The validator of ``docs/schemas/NAME.schema.json``."""
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def complaints(name: str, value: object) -> list[str]:
    """Where a value is not what the schema says."""
    return [f"{error.json_path}: {error.message[:200]}" for error in schema_called(name).iter_errors(value)]


def check_json(text: str) -> dict[str, Any]:
    """The one object that was printed; it has a schema's name and is as the schema says."""
    value: dict[str, Any] = json.loads(text)
    assert isinstance(value, dict), text[:100]
    name = str(value["schema"]).removeprefix("tdvfsh/")
    assert complaints(name, value) == []
    return value

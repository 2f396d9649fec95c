"""The JSON objects that tdvfsh prints: their names and versions, in one place.

Each object carries ``schema`` (``tdvfsh/NAME``) and ``schema_version``. Members may be added within a version; a change
of meaning raises it. ``docs/schemas/NAME.schema.json`` describes each, and tests hold what is printed against it.
"""

from __future__ import annotations

from collections.abc import Mapping

from tdvfsh.lazy_typing import Any, Final

VERSIONS: Final = {
    "advise": 1,
    "boot": 1,
    "compare": 1,
    "completion": 1,
    "cost": 1,
    "cost-fit": 1,
    "demo": 1,
    "diagnose": 1,
    "error": 1,
    "exec": 1,
    "explain": 1,
    "firmware-accepts": 1,
    "firmware-record": 1,
    "firmware-run": 1,
    "images-clean": 1,
    "images-fetch": 1,
    "images-list": 1,
    "images-make": 1,
    "images-path": 1,
    "inspect": 1,
    "ladder": 1,
    "lazy": 1,
    "lint": 1,
    "man": 1,
    "measure": 1,
    "measure-key": 1,
    "plot": 1,
    "replay": 1,
    "report": 1,
    "run": 1,
    "sweep": 1,
    "td": 1,
    "verify": 1,
    "verify-firmware": 1,
}
"""By name."""


def document(name: str, members: Mapping[str, object]) -> dict[str, Any]:
    """An object for machines: its name and version, then its members."""
    return {"schema": f"tdvfsh/{name}", "schema_version": VERSIONS[name], **members}

"""The optional extra ``cpu``: Unicorn and Capstone, or one line that says what to install."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from tdvfsh.errors import MissingError

HOW_TO_INSTALL = "the CPU engine is not installed; pip install 'tdvfsh[cpu]'"


def cpu_extra(name: str) -> ModuleType:
    """A module of the extra, such as ``unicorn`` or ``capstone``.

    Raises:
        MissingError: It is not installed; the message says what to do.
    """
    try:
        return import_module(name)
    except ImportError:
        raise MissingError(HOW_TO_INSTALL) from None

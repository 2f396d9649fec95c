"""TD options from what users write: sizes and policies as text."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from tdvfsh.lazy_typing import ParamSpec
from tdvfsh.machine.options import TdOptions
from tdvfsh.options.td import OPTIONS

Values = ParamSpec("Values")


def _with_the_options_of(constructor: Callable[Values, TdOptions]) -> Callable[Values, TdOptions]:
    """A function that takes what the table declares, and says so to type checkers and to ``help()``."""

    def td_options(*values: Values.args, **named: Values.kwargs) -> TdOptions:
        return constructor(*values, **named)

    arguments = "\n".join(f"    {option.name}: {option.line()}." for option in OPTIONS.values())
    td_options.__doc__ = f"""The options of a TD, by the values of the command line's options of the same names.

Args:
{arguments}

Raises:
    UsageError: An invalid value; the message names the option and what is valid.

>>> td_options("2G", "256M", "service").memory
2147483648
>>> td_options(host_page_size="4K", vcpus=2).host_page_size
4096
"""
    declared = inspect.signature(constructor)
    shown = [each.replace(annotation=OPTIONS[name].given_as) for name, each in declared.parameters.items()]
    td_options.__signature__ = declared.replace(  # type: ignore[attr-defined]
        parameters=shown, return_annotation=TdOptions.__name__
    )
    td_options.__qualname__ = "td_options"
    td_options.__module__ = __name__
    return td_options


td_options = _with_the_options_of(TdOptions)

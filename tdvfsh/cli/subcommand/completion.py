"""``tdvfsh completion``: what bash, zsh and fish offer at TAB, made from the grammar."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.grammar import whole_parser
from tdvfsh.cli.output import print_json, print_script
from tdvfsh.errors import MissingError
from tdvfsh.images.named import ANY, FIRMWARE, INITRD, KERNEL, PROGRAM, names_of
from tdvfsh.lazy_typing import Final
from tdvfsh.options.td import OPTIONS
from tdvfsh.report.schema import document

COMPLETED_SHELLS: Final = ("bash", "zsh", "fish")
_KINDS: Final = {
    "kernel": KERNEL,
    "kernels": KERNEL,
    "source": KERNEL,
    "initrd": INITRD,
    "image": PROGRAM,
    "grub": PROGRAM,
    "firmware": FIRMWARE,
    "file": ANY,
}
_FILES: Final = ("map", "scripts", "script", "transcripts", "log", "spec", "trace", "out", "output", "record")
_FOLDERS: Final = ("baseline", *(f"fs{number}" for number in range(10)))


def run_completion(arguments: Arguments) -> int:
    """Print the script that a shell reads."""
    try:
        import shtab
    except ImportError:
        raise MissingError("completion needs shtab: pip install 'tdvfsh[completion]'") from None
    shell = arguments.text("shell")
    parser = whole_parser()
    for action in _actions(parser):
        kind = _KINDS.get(action.dest, ANY if action.dest == "names" else "")
        if kind:
            action.complete = {**shtab.FILE, "bash": f"_tdvfsh_{kind}", "zsh": f"_tdvfsh_{kind}"}  # type: ignore[attr-defined]
        elif action.dest in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.dest in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.dest in OPTIONS and OPTIONS[action.dest].proposals() and action.nargs != 0:
            action.choices = OPTIONS[action.dest].proposals()  # of this parser only, which reads no words
    script = shtab.complete(parser, shell=shell, preamble=_preamble().get(shell, ""))
    if arguments.flag("json"):
        print_json(document("completion", {"shell": shell, "script": script}))
    else:
        print_script(script.splitlines())
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)


def _preamble() -> dict[str, str]:
    """Functions that offer files and the names of images of a kind."""
    kinds = sorted({*_KINDS.values(), ANY})
    names = {kind: " ".join(names_of(kind)) for kind in kinds}
    return {
        "bash": "\n".join(
            f'_tdvfsh_{kind}() {{ compgen -f -- "$1"; compgen -W "{names[kind]}" -- "$1"; }}' for kind in kinds
        ),
        "zsh": "\n".join(f"_tdvfsh_{kind}() {{ _files; compadd -- {names[kind]}; }}" for kind in kinds),
    }

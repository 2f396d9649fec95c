"""An EFI program with DWARF, compiled where a test runs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

SOURCE: Final = Path(__file__).parent / "sessions" / "sum.c"

needs_compiler = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("gcc", "ld", "objcopy")),
    reason="needs gcc and binutils (Debian: gcc binutils)",
)


def compiled(folder: Path) -> Path:
    """The EFI program of the debugger's sessions."""
    shutil.copy(SOURCE, folder / "sum.c")
    return compile_program(folder, "sum")


def compile_program(folder: Path, name: str) -> Path:
    """An EFI program with DWARF of ``NAME.c``, by gcc and binutils alone; it starts at ``efi_main``."""
    flags = "-g -O1 -ffreestanding -fno-stack-protector -fpie -fvisibility=hidden -fno-asynchronous-unwind-tables"
    commands = (
        f"gcc -c {flags} -mno-red-zone -fshort-wchar {name}.c -o {name}.o",
        f"objcopy -R .comment -R .note.GNU-stack {name}.o",
        "ld -m i386pep --subsystem 10 -e efi_main --image-base 0 --section-alignment 4096 --enable-reloc-section"
        f" -o {name}.efi {name}.o",
    )
    for command in commands:
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder / f"{name}.efi"

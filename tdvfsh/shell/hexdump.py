"""Bytes as the shell dumps them: ``dmem``, ``dmpstore``.

Source: edk2 ShellPkg/Library/UefiShellCommandLib/UefiShellCommandLib.c (DumpHex).
"""

from __future__ import annotations


def hex_dump(data: bytes, *, offset: int = 0, indent: int = 2) -> str:
    """Lines of 16 bytes with their address and their characters."""
    lines: list[str] = []
    for start in range(0, len(data), 16):
        row = data[start : start + 16]
        shown = "".join(f"{byte:02X}{'-' if index == 7 else ' '}" for index, byte in enumerate(row))
        text = "".join(chr(byte) if 0x20 <= byte <= 0x7E else "." for byte in row)
        lines.append(f"{' ' * indent}{offset + start:08X}: {shown:<48} *{text}*\n")
    return "".join(lines)

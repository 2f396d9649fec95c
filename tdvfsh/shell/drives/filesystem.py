"""What the shell's file systems have in common with those of running EFI code."""

from __future__ import annotations

from tdvfsh.uefi.filesystem import BLOCK_SIZE, FileInfo, FileSystemError, Parts, directory_size

__all__ = ["BLOCK_SIZE", "FileInfo", "FileSystemError", "Parts", "directory_size"]

"""How GRUB's commands open files: where a verifier wants them, each is read whole into the heap first.

GRUB's TPM module measures each file that it opens. To do so it registers a verifier, which reads the file into one
block of the heap; the file keeps that block until it is closed, and an initrd is closed only after the kernel has
started. So the initrd is in memory once more than without.

Source: GRUB 2.12 grub-core/kern/verifiers.c (grub_verifiers_open), grub-core/commands/tpm.c (grub_tpm_verify_init).
"""

from __future__ import annotations

from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.flow import BootFlow, shortage
from tdvfsh.loaders.grub_memory import HEAP_MINIMUM_ADDRESS, Grub
from tdvfsh.uefi import service_names
from tdvfsh.uefi.status import EfiStatus

OUT_OF_MEMORY: Final = "error: out of memory."


def open_file(flow: BootFlow, grub: Grub, command: str, what: str, size: int) -> EfiStatus:
    """Open a file for a command.

    Args:
        flow: The boot, which is told why where this fails.
        grub: The GRUB that runs.
        command: The command's name.
        what: What the file is to a reader.
        size: Bytes of it.

    Returns:
        EFI_OUT_OF_RESOURCES: A verifier wants the file whole, and the heap cannot grow by so much.
    """
    status = grub.open_file(size)
    if not status.is_error:
        return status
    measured = {"cc": "CC measurement", "tpm": "a TPM"}.get(flow.measurement, "its verifier")
    why = (
        f"GRUB's {command} command has no room in its heap for the {what} ('out of memory'): its verifier ({measured}) "
        f"wants the file whole: {shortage(flow.services, size, grub.limit, HEAP_MINIMUM_ADDRESS)}; GRUB reads the "
        "memory map itself, so an accept inside the allocator is never tried"
    )
    return flow.fail(service_names.GET_MEMORY_MAP, status, size, why, grub.limit, HEAP_MINIMUM_ADDRESS)

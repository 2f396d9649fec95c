"""Which of the modelled programs an image is: the EFI stub of a kernel, or systemd's stub of a unified kernel image."""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.accept.needs import Need
from tdvfsh.dxe.images import Program
from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.formats.pe.findings import Overwrite
from tdvfsh.loaders.efi_stub import has_efi_stub, run_efi_stub, stub_needs
from tdvfsh.loaders.flow import BootFlow
from tdvfsh.uefi.status import EfiStatus


def program_finder(flow: BootFlow) -> Callable[[LoadedImage], Program | None]:
    """For the image services: what to run when an image of this boot is started; None for anything else."""

    def find(image: LoadedImage) -> Program | None:
        if flow.shim is not None and image.source is flow.shim.view:
            from tdvfsh.loaders.shim_lock import run_shim

            return lambda handle: run_shim(flow, handle)
        if image.source is not flow.files.kernel.view:
            return None
        return kernel_program(flow)

    return find


def kernel_program(flow: BootFlow) -> Program | None:
    """What the boot's kernel file does when it is started as an EFI image; None where that is not modelled."""
    kernel = flow.files.kernel
    damage = kernel.damage
    if damage is not None:
        return lambda _: _crash(flow, damage)
    if kernel.inner is not None:
        from tdvfsh.loaders.sd_stub import run_sd_stub

        return lambda handle: run_sd_stub(flow, handle)
    if has_efi_stub(kernel):
        return lambda handle: run_efi_stub(flow, handle)
    return None


def _crash(flow: BootFlow, damage: Overwrite) -> EfiStatus:
    """The image's own code is not what its file holds: it runs into whatever lies there."""
    why = f"{damage} of {flow.files.kernel.path} in memory: what runs is not the program of the file"
    flow.hang("the image has crashed")
    return flow.fail("StartImage", EfiStatus.EFI_LOAD_ERROR, 0, why)


def program_needs(flow: BootFlow) -> list[Need]:
    """What it will ask for, for loaders that accept before they start it."""
    if flow.files.kernel.inner is None:
        return stub_needs(flow)
    from tdvfsh.loaders.sd_stub import sd_stub_needs

    return sd_stub_needs(flow)

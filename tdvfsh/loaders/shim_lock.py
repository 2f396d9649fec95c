"""shim between firmware and what loaders start: its protocol for GRUB and systemd-boot, and itself as QEMU's ``-shim``.

Source: rhboot/shim shim.c (init_grub, start_image, read_image), pe.c (handle_image); GRUB
grub-core/kern/efi/sb.c (shim_lock_verifier_init, shim_lock_verifier_write), grub-core/loader/efi of 2.14, which loads
by shim's own image loader; systemd src/boot/shim.c (shim_load_image); edk2 OvmfPkg/Library/X86QemuLoadImageLib.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.secure_boot.databases import databases
from tdvfsh.formats.pe.load import load_pe
from tdvfsh.formats.pe.parse import PeRejection
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.loaders.flow import BootFlow, shortage
from tdvfsh.uefi import service_names
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SIZE, align_up, pages_for

if TYPE_CHECKING:
    from tdvfsh.dxe.secure_boot.verification import Verdict

VERIFY: Final = "shim_lock.Verify"
NO_SHIM: Final = "error: shim_lock protocol not found."
BAD_SIGNATURE: Final = "error: bad shim signature."
_LOADER_CODE: Final = EfiMemoryType.EfiLoaderCode
_LOADER_DATA: Final = EfiMemoryType.EfiLoaderData
_ANY: Final = EfiAllocateType.AllocateAnyPages
_POOL_OVERHEAD: Final = 40


def secure_boot_is_on(services: BootServices) -> bool:
    """Whether loaders have to have kernels verified."""
    return databases(services.core.variables) is not None


def grub_asks_shim(flow: BootFlow, view: memoryview, path: str, *, needs_shim: bool) -> EfiStatus:
    """GRUB's verifier for kernels and for what it chainloads.

    Args:
        flow: The boot, which is told why where this fails.
        view: The file.
        path: What to call it.
        needs_shim: Whether this GRUB refuses where there is no shim; others are taken for built without the verifier.

    Returns:
        EFI_SECURITY_VIOLATION: shim refuses it ("bad shim signature").
        EFI_ACCESS_DENIED: Secure Boot is on, and there is no shim.
    """
    if not secure_boot_is_on(flow.services):
        return SUCCESS
    if flow.shim is None:
        if not needs_shim:
            return SUCCESS
        flow.messages.append(NO_SHIM)
        why = f"Secure Boot is on and GRUB asks shim, which is not there, about {path}: --shim FILE"
        return flow.fail(VERIFY, EfiStatus.EFI_ACCESS_DENIED, 0, why)
    verdict = _verdict(flow, view, by_protocol=True)
    if verdict is None or verdict.status is SUCCESS:
        return SUCCESS
    flow.messages.append(BAD_SIGNATURE)
    return flow.fail(VERIFY, verdict.status, 0, f"shim refuses {path}: {verdict.why}")


@contextmanager
def by_shim(flow: BootFlow, view: memoryview) -> Iterator[None]:
    """A loader in whose LoadImage shim has its say: what shim allows, firmware does not look at."""
    images = flow.services.images
    verdict = _verdict(flow, view, by_protocol=True) if flow.shim is not None else None
    if verdict is None or verdict.status is not SUCCESS:
        yield
        return
    firmware_s = images.authenticate
    images.authenticate = lambda source, path: None
    try:
        yield
    finally:
        images.authenticate = firmware_s


def run_shim(flow: BootFlow, handle: int) -> EfiStatus:
    """shim, started by firmware with ``kernel`` as its second stage: it reads, verifies, loads and enters it.

    Returns:
        EFI_SECURITY_VIOLATION: It refuses the kernel, and there is no MokManager beside it.
        EFI_OUT_OF_RESOURCES: No room for the file or the image.
        EFI_UNSUPPORTED: Not a program that is modelled.
        Anything else that the kernel returned.
    """
    from tdvfsh.loaders.programs import kernel_program

    services, kernel = flow.services, flow.files.kernel
    with services.trace.on_behalf_of("shim"):
        status, buffer = services.allocate_pool(_LOADER_DATA, kernel.size)
        if status.is_error or not buffer:
            numbers = shortage(services, kernel.size, overhead=_POOL_OVERHEAD)
            why = f"shim has no room for the kernel's file: {numbers}"
            return flow.fail(service_names.ALLOCATE_POOL, status, kernel.size, why)
        flow.place("shim_file_buffer", buffer, kernel.size, _LOADER_DATA)
        services.contents.map_view(buffer, kernel.view)
        verdict = _verdict(flow, kernel.view, by_protocol=False)
        if verdict is not None and verdict.status is not SUCCESS:
            services.free_pool(buffer)
            flow.mark_freed("shim_file_buffer")
            flow.messages.append("Verification failed: (0x1A) Security Violation")
            return flow.fail(VERIFY, verdict.status, 0, f"shim refuses {kernel.path}: {verdict.why}")
        status = _load_by_shim(flow, handle)
        if status.is_error:
            return status
        program = kernel_program(flow)
    return EfiStatus.EFI_UNSUPPORTED if program is None else program(handle)


def _load_by_shim(flow: BootFlow, handle: int) -> EfiStatus:
    """handle_image: pages of any address; shim's own loaded image then says that it is the kernel's."""
    services, kernel = flow.services, flow.files.kernel
    pe, image = kernel.pe, services.images.loaded_image(handle)
    assert image is not None
    if pe is None:
        return EfiStatus.EFI_UNSUPPORTED
    alignment = max(pe.section_alignment, PAGE_SIZE)
    size = align_up(pe.size_of_image, PAGE_SIZE) + (alignment if alignment > PAGE_SIZE else 0)
    status, base = services.allocate_pages(_ANY, _LOADER_CODE, pages_for(size), 0)
    if status.is_error:
        why = f"shim has no room for the kernel's image: {shortage(services, size)}"
        return flow.fail(service_names.ALLOCATE_PAGES, status, size, why)
    address = align_up(base, alignment)
    load = load_pe(pe, kernel.view, address)
    if isinstance(load, PeRejection):
        return load.status
    for rva, length, offset in load.pieces:
        if offset is not None:
            services.contents.map_view(address + rva, kernel.view[offset : offset + length])
    flow.place("image", address, pe.size_of_image, _LOADER_CODE)
    image.image_base, image.image_size = address, pe.size_of_image
    image.load_options = image.load_options.partition(" ")[2]
    return SUCCESS


def _verdict(flow: BootFlow, view: memoryview, *, by_protocol: bool) -> Verdict | None:
    """What shim says; None where Secure Boot is off."""
    from tdvfsh.dxe.secure_boot.shim import rules_of, shim_verdict

    assert flow.shim is not None
    rules = rules_of(flow.shim, flow.services.core.variables)
    return None if rules is None else shim_verdict(view, rules, by_protocol=by_protocol)

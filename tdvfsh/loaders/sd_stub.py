"""systemd's EFI stub: the program in front of a unified kernel image (UKI).

It joins the initrds it finds, places the kernel of its ``.linux`` section itself, offers the joined initrd by LoadFile2
and enters the kernel's own EFI stub. So an initrd stands in memory three times: in the UKI's image, joined, and where
the kernel's stub put it.

Source: systemd src/boot/stub.c, linux.c, initrd.c (257); sizes as run, see the docstrings.
"""

from __future__ import annotations

from tdvfsh.accept.needs import Need
from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.formats.pe.findings import overwrites
from tdvfsh.formats.pe.load import load_pe
from tdvfsh.formats.pe.parse import PeRejection
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.efi_stub import has_efi_stub, run_efi_stub, stub_needs
from tdvfsh.loaders.files import INITRD_PADDING, KernelFile, Pieces, join, joined_size
from tdvfsh.loaders.flow import LOAD_INITRD, LOAD_KERNEL, BootFlow, shortage
from tdvfsh.loaders.publish import offered_initrd, publish_initrd, withdraw_initrd
from tdvfsh.uefi import service_names
from tdvfsh.uefi.guids import EFI_LOADED_IMAGE_PROTOCOL_GUID
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SIZE, align_up, pages_for

_LOADER_DATA: Final = EfiMemoryType.EfiLoaderData
_LOADER_CODE: Final = EfiMemoryType.EfiLoaderCode
_BELOW_4G: Final = 0xFFFFFFFF
_MAX: Final = EfiAllocateType.AllocateMaxAddress
_ANY: Final = EfiAllocateType.AllocateAnyPages


def uki_cmdline(kernel: KernelFile, load_options: str) -> str:
    """The command line that the kernel gets: the caller's where there is one, else the ``.cmdline`` section's.

    With Secure Boot, which is not modelled, a ``.cmdline`` section wins over the caller.
    """
    return load_options.strip() or (kernel.uki.cmdline.strip() if kernel.uki is not None else "")


def uki_initrds(flow: BootFlow) -> list[memoryview]:
    """The parts that the stub joins, in its order: ``.ucode``, what a loader offers by LoadFile2, ``.initrd``."""
    kernel = flow.files.kernel
    views = []
    for name in (".ucode", None, ".initrd"):
        if name is not None:
            section = kernel.section(name)
            if section is not None and len(section):
                views.append(section)
            continue
        offer = offered_initrd(flow)
        if offer is not None:
            views += [view for _, view in offer[1].pieces]
    return views


def joined_initrd(views: list[memoryview]) -> tuple[Pieces, int]:
    """Where the parts lie in the joined initrd, and its bytes: every part, the last too, is padded to 4."""
    pieces = join(views, INITRD_PADDING)
    return pieces, align_up(joined_size(pieces), INITRD_PADDING)


def sd_stub_needs(flow: BootFlow) -> list[Need]:
    """What the stub, and the kernel's after it, will ask for."""
    inner = flow.files.kernel.inner
    if inner is None:
        return []
    _, size = joined_initrd(uki_initrds(flow))
    needs = [Need("joined_initrd", size, _LOADER_DATA, _BELOW_4G)] if size else []
    if inner.pe is not None:
        needs.append(Need("inner_image", inner.image_pages_size, _LOADER_CODE))
    return needs + stub_needs(flow, inner)


def run_sd_stub(flow: BootFlow, handle: int) -> EfiStatus:
    """The stub's entry point.

    Returns:
        EFI_OUT_OF_RESOURCES: No room for the joined initrd (the stub halts then), for the kernel's image or in the
            kernel's stub.
        EFI_UNSUPPORTED: The ``.linux`` section holds no kernel with an EFI stub.
    """
    with flow.services.trace.on_behalf_of("sd-stub"):
        return _SdStub(flow, handle).run()


class _SdStub:
    def __init__(self, flow: BootFlow, handle: int) -> None:
        self._flow = flow
        self._services = flow.services
        self._image = flow.services.images.loaded_image(handle)
        self._inner = flow.files.kernel.inner

    def run(self) -> EfiStatus:
        flow, inner = self._flow, self._inner
        assert inner is not None
        if not has_efi_stub(inner):
            flow.stage = LOAD_KERNEL
            why = f"the .linux section of {flow.files.kernel.path} holds no kernel with an EFI stub"
            return flow.fail(service_names.LOAD_IMAGE, EfiStatus.EFI_UNSUPPORTED, 0, why)
        status, joined, size = self._join_initrds()
        if status.is_error:
            return status
        status, handle = self._place_kernel(inner)
        if not status.is_error:
            assert handle is not None
            status = self._damage()
            if not status.is_error:
                status = run_efi_stub(flow, handle, inner)
            if status.is_error:
                self._discard(handle)
        if status.is_error and joined:
            withdraw_initrd(flow)
            self._services.free_pages(joined, pages_for(size))
            flow.mark_freed("joined_initrd")
        return status

    def _damage(self) -> EfiStatus:
        """Sections of the image that overwrite each other in memory, where the stub has read them from."""
        flow, pe = self._flow, self._flow.files.kernel.pe
        for damage in [] if pe is None else overwrites(pe):
            if damage.name == ".linux":
                flow.stage = LOAD_KERNEL
                flow.hang("the kernel has crashed before it said a word")
                why = f"{damage} in memory: the loaded kernel is not the kernel of {flow.files.kernel.path}"
                return flow.fail("StartImage", EfiStatus.EFI_LOAD_ERROR, 0, why)
            if damage.name in (".initrd", ".ucode", ".cmdline"):
                flow.messages.append(f"{damage} in memory: the kernel gets a damaged {damage.name}")
        return SUCCESS

    def _join_initrds(self) -> tuple[EfiStatus, int, int]:
        """One buffer below 4 GiB, else anywhere, even for a single part (run: 257 on x86); else the stub halts."""
        flow = self._flow
        flow.stage = LOAD_INITRD
        views = uki_initrds(flow)
        pieces, size = joined_initrd(views)
        if not size:
            return SUCCESS, 0, 0
        status, start = flow.allocate("joined_initrd", _MAX, _LOADER_DATA, size, _BELOW_4G)
        if status.is_error:
            status, start = flow.allocate("joined_initrd", _ANY, _LOADER_DATA, size, 0)
        if status.is_error:
            why = f"systemd's stub has no room to join the initrds: {shortage(self._services, size)}"
            flow.hang("systemd's stub: an assertion fails, and it halts")
            return flow.fail(service_names.ALLOCATE_PAGES, status, size, why), 0, 0
        for offset, view in pieces:
            self._services.contents.map_view(start + offset, view)
        publish_initrd(flow, pieces, padding=INITRD_PADDING)
        return SUCCESS, start, size

    def _place_kernel(self, inner: KernelFile) -> tuple[EfiStatus, int | None]:
        """linux_exec: the kernel's sections into pages of its own, without firmware's LoadImage."""
        flow, services = self._flow, self._services
        flow.stage = LOAD_KERNEL
        assert inner.pe is not None
        assert self._image is not None
        size = inner.image_pages_size
        status, base = flow.allocate("inner_image", _ANY, _LOADER_CODE, size, 0)
        if status.is_error:
            why = f"systemd's stub has no room for the kernel's image: {shortage(services, size)}"
            flow.messages.append("Error loading kernel image: Out of resources")
            return flow.fail(service_names.ALLOCATE_PAGES, status, size, why), None
        address = align_up(base, max(inner.pe.section_alignment, PAGE_SIZE))
        load = load_pe(inner.pe, inner.view, address)
        if isinstance(load, PeRejection):
            services.free_pages(base, pages_for(size))
            flow.mark_freed("inner_image")
            return flow.fail(
                service_names.LOAD_IMAGE, load.status, 0, f"systemd's stub cannot load the kernel: {load.why}"
            ), None
        for rva, length, offset in load.pieces:
            if offset is not None:
                services.contents.map_view(address + rva, inner.view[offset : offset + length])
        own = self._image
        image = LoadedImage(
            parent_handle=own.parent_handle,
            device_handle=own.device_handle,
            file_path=None,
            image_base=address,
            image_size=inner.pe.image_size,
            image_code_type=_LOADER_CODE,
            image_data_type=_LOADER_DATA,
            page_base=base,
            number_of_pages=pages_for(size),
            entry_point=load.entry_point,
            pe=inner.pe,
            source=inner.view,
            private_data=0,
            started=True,
            load_options=uki_cmdline(flow.files.kernel, own.load_options),
        )
        result = services.install_protocol_interface(None, EFI_LOADED_IMAGE_PROTOCOL_GUID, image)
        return result.status, result.handle

    def _discard(self, handle: int) -> None:
        image = self._services.images.loaded_image(handle)
        assert image is not None
        self._services.uninstall_protocol_interface(handle, EFI_LOADED_IMAGE_PROTOCOL_GUID)
        self._services.free_pages(image.page_base, image.number_of_pages)
        self._flow.mark_freed("inner_image")

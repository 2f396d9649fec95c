"""LoadImage, StartImage, UnloadImage and Exit.

Source: UEFI 2.10 7.4; edk2 MdeModulePkg/Core/Dxe/Image/Image.c (CoreLoadImageCommon, CoreLoadPeImage, CoreStartImage,
CoreUnloadAndCloseImage); held by tests/dxe/test_images.py and
the recordings (groups G9 and G9b).
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.dxe.file_buffers import FileBuffers
from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.formats.pe.load import PeLoad
from tdvfsh.formats.pe.parse import (
    IMAGE_FILE_MACHINE_EBC,
    IMAGE_FILE_MACHINE_I386,
    IMAGE_FILE_MACHINE_X64,
    IMAGE_SUBSYSTEM_EFI_APPLICATION,
    IMAGE_SUBSYSTEM_EFI_BOOT_SERVICE_DRIVER,
    IMAGE_SUBSYSTEM_EFI_RUNTIME_DRIVER,
    PeImage,
    PeRejection,
    parse_pe,
)
from tdvfsh.formats.pe.prepared import PreparedPe
from tdvfsh.formats.pe.protection import ImageRefusal
from tdvfsh.formats.pe.relocate import Fixup
from tdvfsh.lazy_typing import TYPE_CHECKING, Final, NamedTuple
from tdvfsh.trace.records import PlacementMade
from tdvfsh.uefi.device_path import DevicePath
from tdvfsh.uefi.guids import (
    EFI_LOADED_IMAGE_DEVICE_PATH_PROTOCOL_GUID,
    EFI_LOADED_IMAGE_PROTOCOL_GUID,
)
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SHIFT, PAGE_SIZE, pages_for

if TYPE_CHECKING:
    from tdvfsh.dxe.boot_services import BootServices
    from tdvfsh.dxe.secure_boot.verification import Verdict

_SUBSYSTEM_EFI_SAL_RUNTIME_DRIVER: Final = 13
_LOADABLE_MACHINES: Final = frozenset({IMAGE_FILE_MACHINE_X64, IMAGE_FILE_MACHINE_I386, IMAGE_FILE_MACHINE_EBC})
"""X64 firmware loads IA32 and EBC images too; only native ones start."""

_APPLICATION: Final = (EfiMemoryType.EfiLoaderCode, EfiMemoryType.EfiLoaderData)
_BOOT_DRIVER: Final = (EfiMemoryType.EfiBootServicesCode, EfiMemoryType.EfiBootServicesData)
_RUNTIME_DRIVER: Final = (EfiMemoryType.EfiRuntimeServicesCode, EfiMemoryType.EfiRuntimeServicesData)
_PREFERRED_BASE_MINIMUM: Final = 0x100000  # PcdImageLargeAddressLoad: a base in low memory is not tried
_BASE_RELOCATION_DIRECTORY: Final = 5
_PRIVATE_DATA_SIZE: Final = 0x198  # sizeof (LOADED_IMAGE_PRIVATE_DATA)
_BS_DATA: Final = EfiMemoryType.EfiBootServicesData
_RT_DATA: Final = EfiMemoryType.EfiRuntimeServicesData
_RUNTIME_IMAGE_ENTRY_SIZE: Final = 0x30  # sizeof (EFI_RUNTIME_IMAGE_ENTRY)

Program = Callable[[int], EfiStatus]
"""What runs when an image is started: it gets the image's handle and returns the image's exit status."""


class ImageResult(NamedTuple):
    """``handle`` is None unless an image was loaded (EFI_SUCCESS)."""

    status: EfiStatus
    handle: int | None


class StartResult(NamedTuple):
    """The image's own exit status, or why it did not start; ``exit_data`` as it left it."""

    status: EfiStatus
    exit_data: str | None = None


class _Exited(Exception):
    """Exit() was called by the running image; unwinds to its StartImage."""

    def __init__(self, handle: int, status: EfiStatus, exit_data: str | None) -> None:
        super().__init__(handle)
        self.handle = handle
        self.status = status
        self.exit_data = exit_data


class ImageServices:
    """The image services over a boot-services table.

    Args:
        services: Everything is allocated and freed through it, so each call is in the journal.

    Attributes:
        prepared: What is known already of a file's loading, or None.
        authenticate: Verifies an image before it is loaded; None stands for one that needs no verification.
        verdict: What it said of the last image.
        files: How the file at a device path is found and read.
        loaded: Called with the handle of an image that was loaded, before anything is notified of it.
        refused_images: Entries of the image execution information table; None without Secure Boot.
        refusal: Why memory protection refused the last image; None where it did not.
    """

    def __init__(self, services: BootServices) -> None:
        self._services = services
        self.current: int | None = None
        self.program_for: Callable[[LoadedImage], Program | None] = lambda image: None
        self.prepared: Callable[[memoryview], PreparedPe | None] = lambda source: None
        self.authenticate: Callable[[memoryview, DevicePath | None], Verdict | None] = lambda source, path: None
        self.verdict: Verdict | None = None
        self.files = FileBuffers(services)
        self.loaded: Callable[[int, LoadedImage], None] = lambda handle, image: None
        self.refusal: ImageRefusal | None = None
        self.refused_images: Callable[[], tuple[bytes, ...]] | None = None

    def load_image(
        self,
        boot_policy: bool,
        parent: int | None,
        device_path: DevicePath | None,
        source: memoryview | None,
    ) -> ImageResult:
        """LoadImage.

        Args:
            boot_policy: Whether the request comes from the boot manager.
            parent: The caller's image handle; None stands for NULL.
            device_path: Where the image is, or None.
            source: The image's bytes where the caller has read them already; used in place.

        Returns:
            EFI_INVALID_PARAMETER: No loaded image is the parent.
            EFI_NOT_FOUND: No file there; **also when the file's buffer could not be allocated**, and when an image
                without relocations cannot have its base.
            EFI_LOAD_ERROR, EFI_UNSUPPORTED, EFI_INVALID_PARAMETER: The image is not one that loads.
            EFI_OUT_OF_RESOURCES: No room for the image's pages or the core's own record.
            EFI_ACCESS_DENIED: Secure Boot refuses the image; ``verdict`` says why.
            EFI_SECURITY_VIOLATION, EFI_ABORTED and others: Memory protection does; ``refusal`` says why.
        """
        if parent is None or self.loaded_image(parent) is None:
            return ImageResult(EfiStatus.EFI_INVALID_PARAMETER, None)
        file_buffer: PlacementMade | None = None
        device: int | None = None
        rest = device_path
        if device_path is not None:
            sources = [*self.files.sources(boot_policy and source is None, device_path)]
            if sources:
                _, device, rest = sources[0]
        if source is None:
            if device_path is None:
                return ImageResult(self._services.profile.load_image_without_source, None)
            source, file_buffer = self.files.read(boot_policy, sources)
            if source is None:
                return ImageResult(EfiStatus.EFI_NOT_FOUND, None)
        elif len(source) == 0:
            return ImageResult(EfiStatus.EFI_LOAD_ERROR, None)
        self.verdict = verdict = self.authenticate(source, device_path)
        if verdict is None or verdict.status is SUCCESS:
            result = self._load(parent, device, rest, device_path, source)
        else:
            result = ImageResult(verdict.status, None)
        if file_buffer is not None:
            self._services.free_pool(file_buffer.start)
            self._services.trace.unplace(file_buffer)
        return result

    def start_image(self, handle: int | None) -> StartResult:
        """StartImage.

        Returns:
            EFI_INVALID_PARAMETER: Not an image, or started already.
            EFI_UNSUPPORTED: Not an image of this machine, or one whose code this model cannot run.
            Anything else: what the image returned. An application, or whatever returned an error, is unloaded.
        """
        image = self.loaded_image(handle)
        if handle is None or image is None or image.started:
            return StartResult(EfiStatus.EFI_INVALID_PARAMETER)
        pe = image.pe
        program = self.program_for(image) if pe is not None and pe.machine == IMAGE_FILE_MACHINE_X64 else None
        if pe is None or program is None:
            return StartResult(EfiStatus.EFI_UNSUPPORTED)
        image.started = True
        before, self.current = self.current, handle
        exit_data = None
        try:
            status = program(handle)
        except _Exited as exited:
            if exited.handle != handle:
                raise
            status, exit_data = exited.status, exited.exit_data
        finally:
            self.current = before
        if self._services.at_runtime:
            return StartResult(status, exit_data)
        if status.is_error or pe.subsystem == IMAGE_SUBSYSTEM_EFI_APPLICATION:
            self._discard(handle, image)
        return StartResult(status, exit_data)

    def exit(self, handle: int, status: EfiStatus, exit_data: str | None = None) -> EfiStatus:
        """Exit: does not return where ``handle`` is the image that runs.

        Returns:
            EFI_INVALID_PARAMETER: Not an image, or started but not the current one.
            EFI_SUCCESS: The image had not been started and is unloaded.
        """
        image = self.loaded_image(handle)
        if image is None or (image.started and handle != self.current):
            return EfiStatus.EFI_INVALID_PARAMETER
        if not image.started:
            self._discard(handle, image)
            return SUCCESS
        raise _Exited(handle, status, exit_data)

    def unload_image(self, handle: int | None) -> EfiStatus:
        """UnloadImage.

        Returns:
            EFI_INVALID_PARAMETER: Not an image.
            EFI_UNSUPPORTED: Started, and without an Unload function; else that function decides.
        """
        image = self.loaded_image(handle)
        if handle is None or image is None:
            return EfiStatus.EFI_INVALID_PARAMETER
        if image.started:
            if image.unload is None:
                return EfiStatus.EFI_UNSUPPORTED
            status = image.unload()
            if status.is_error:
                return status
        self._discard(handle, image)
        return SUCCESS

    def loaded_image(self, handle: int | None) -> LoadedImage | None:
        """The image of a handle, or None."""
        if handle is None:
            return None
        interface = self._services.handles.protocols(handle).get(EFI_LOADED_IMAGE_PROTOCOL_GUID)
        return interface if isinstance(interface, LoadedImage) else None

    def loaded_images(self) -> list[LoadedImage]:
        """All loaded images but the firmware's own."""
        found = (self.loaded_image(handle) for handle in self._services.handles)
        return [image for image in found if image is not None and image.pe is not None]

    def _load(
        self, parent: int, device: int | None, rest: DevicePath | None, path: DevicePath | None, source: memoryview
    ) -> ImageResult:
        services = self._services
        status, private_data = services.allocate_pool(_BS_DATA, _PRIVATE_DATA_SIZE)
        if status is not SUCCESS or private_data is None:
            return ImageResult(EfiStatus.EFI_OUT_OF_RESOURCES, None)
        image = self._load_pe_image(parent, device, rest, source, private_data)
        if isinstance(image, EfiStatus):
            services.free_pool(private_data)
            return ImageResult(image, None)
        handle = services.handles.install_protocol_interface(None, EFI_LOADED_IMAGE_PROTOCOL_GUID, image).handle
        services.handles.install_protocol_interface(handle, EFI_LOADED_IMAGE_DEVICE_PATH_PROTOCOL_GUID, path)
        if handle is not None:
            self.loaded(handle, image)
        return ImageResult(SUCCESS, handle)

    def _load_pe_image(
        self, parent: int, device: int | None, rest: DevicePath | None, source: memoryview, private_data: int
    ) -> LoadedImage | EfiStatus:
        """CoreLoadPeImage."""
        self.refusal = None
        prepared = self.prepared(source)
        if prepared is None:
            pe = parse_pe(source)
            if isinstance(pe, PeRejection):
                return pe.status
            prepared = PreparedPe(pe, source)
        pe = prepared.pe
        types = self._memory_types(pe.subsystem)
        if pe.machine not in _LOADABLE_MACHINES or types is None:
            return EfiStatus.EFI_UNSUPPORTED
        self.refusal = self._services.core.protection.refuses(pe)
        if self.refusal is not None:
            return self.refusal.status
        alignment = pe.section_alignment
        pages = pages_for(pe.image_size + (alignment if alignment > PAGE_SIZE else 0))
        status, base = self._allocate_image_pages(pe, types[0], pages)
        if status is not SUCCESS:
            return status
        address = (base + alignment - 1) & ~(alignment - 1) if alignment else 0
        load = prepared.load(address)
        if isinstance(load, PeRejection):
            return self._give_up(address, pages, load.status)
        registered = pe.subsystem == IMAGE_SUBSYSTEM_EFI_RUNTIME_DRIVER
        fixup_data = 0
        if registered:
            # Never given back once the image is loaded: unloading looks for it where it was not put (all edk2).
            fixup_data = self._services.allocate_pool(_RT_DATA, _fixup_data_size(pe)).buffer or 0
            if not fixup_data:
                return self._give_up(address, pages, EfiStatus.EFI_OUT_OF_RESOURCES)
        fixups = prepared.relocate(address - pe.image_base)
        if isinstance(fixups, PeRejection):
            return self._give_up(address, pages, fixups.status, fixup_data)
        self._place(pe, source, address, load, fixups)
        runtime_data = 0
        if registered:
            runtime_data = self._services.allocate_pool(_RT_DATA, _RUNTIME_IMAGE_ENTRY_SIZE).buffer or 0
        self._services.core.protection.protect_image(pe, address)
        return LoadedImage(
            parent_handle=parent,
            device_handle=device,
            file_path=rest,
            image_base=address,
            image_size=pe.image_size,
            image_code_type=types[0],
            image_data_type=types[1],
            page_base=base,
            number_of_pages=pages,
            entry_point=load.entry_point,
            pe=pe,
            source=source,
            private_data=private_data,
            runtime_data=runtime_data,
        )

    def _give_up(self, address: int, pages: int, status: EfiStatus, fixup_data: int = 0) -> EfiStatus:
        """Free from the aligned address, not from the block's: where alignment moved it, pages stay allocated."""
        self._services.free_pages(address, pages)
        if fixup_data:
            self._services.free_pool(fixup_data)
        return status

    def _allocate_image_pages(self, pe: PeImage, memory_type: EfiMemoryType, pages: int) -> tuple[EfiStatus, int]:
        services = self._services
        status, base = EfiStatus.EFI_OUT_OF_RESOURCES, 0
        if pe.image_base >= _PREFERRED_BASE_MINIMUM or pe.relocations_stripped:
            status, base = services.allocate_pages(EfiAllocateType.AllocateAddress, memory_type, pages, pe.image_base)
        if status.is_error and not pe.relocations_stripped:
            status, base = services.allocate_pages(EfiAllocateType.AllocateAnyPages, memory_type, pages, 0)
        return status, base

    def _place(self, pe: PeImage, source: memoryview, address: int, load: PeLoad, fixups: tuple[Fixup, ...]) -> None:
        """Copy and relocate; the file's bytes become visible at the image's address."""
        contents = self._services.contents
        for rva, size, offset in load.pieces:
            if offset is None:
                contents.zero(address + rva, address + rva + size)
            else:
                contents.map_view(address + rva, source[offset : offset + size])
        adjust = address - pe.image_base
        for fixup in fixups:
            at = address + fixup.rva
            value = fixup.apply(int.from_bytes(contents.read(at, fixup.width), "little"), adjust)
            contents.write(at, value.to_bytes(fixup.width, "little"))

    def _memory_types(self, subsystem: int) -> tuple[EfiMemoryType, EfiMemoryType] | None:
        if subsystem == IMAGE_SUBSYSTEM_EFI_APPLICATION:
            return _APPLICATION
        if subsystem == IMAGE_SUBSYSTEM_EFI_BOOT_SERVICE_DRIVER:
            return _BOOT_DRIVER
        if subsystem == IMAGE_SUBSYSTEM_EFI_RUNTIME_DRIVER or (
            subsystem == _SUBSYSTEM_EFI_SAL_RUNTIME_DRIVER and self._services.profile.sal_runtime_subsystem
        ):
            return _RUNTIME_DRIVER
        return None

    def _discard(self, handle: int, image: LoadedImage) -> None:
        services = self._services
        if image.runtime_data:
            services.free_pool(image.runtime_data)
        services.free_pages(image.page_base, image.number_of_pages)
        services.free_pool(image.private_data)
        services.contents.discard(image.page_base, image.page_base + (image.number_of_pages << PAGE_SHIFT))
        for protocol in list(services.handles.protocols(handle)):
            services.handles.uninstall_protocol_interface(handle, protocol)


def _fixup_data_size(pe: PeImage) -> int:
    """Bytes that a runtime driver's relocations are remembered in: a pointer for every 16-bit entry."""
    if pe.relocations_stripped or len(pe.data_directories) <= _BASE_RELOCATION_DIRECTORY:
        return 0
    return pe.data_directories[_BASE_RELOCATION_DIRECTORY].size // 2 * 8

"""How an EFI stub gets its initrd: by LoadFile2, else by ``initrd=`` from the volume that the kernel came from.

Source: Linux drivers/firmware/efi/libstub/efi-stub-helper.c (efi_load_initrd) and file.c (handle_cmdline_files).
"""

from __future__ import annotations

from tdvfsh.accept.needs import NO_LIMIT
from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import Pieces, join, joined_size
from tdvfsh.loaders.flow import LOAD_INITRD, shortage
from tdvfsh.loaders.media import BlobFileSystem, InitrdLoadFile2
from tdvfsh.loaders.publish import offered_initrd
from tdvfsh.loaders.stub_calls import StubCalls
from tdvfsh.uefi import service_names
from tdvfsh.uefi.guids import EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID, Guid
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SIZE, align_up, pages_for

LINUX_EFI_INITRD_TABLE_GUID: Final = Guid("5568e427-68fc-4f3d-ac74-ca555231cc68")
_INITRD_TABLE_SIZE: Final = 16
_LOADER_DATA: Final = EfiMemoryType.EfiLoaderData
_MAX: Final = EfiAllocateType.AllocateMaxAddress
_INITRD_OPTION: Final = pattern(r"(?:^|\s)initrd=(\S+)")
_ABOVE_4G: Final = 2  # xloadflags: XLF_CAN_BE_LOADED_ABOVE_4G


def load_initrd(stub: StubCalls, has_one: bool = False) -> EfiStatus:
    """efi_load_initrd.

    Args:
        stub: The run.
        has_one: The caller of the handover entry placed an initrd already; LoadFile2 comes first even so.

    Returns:
        EFI_OUT_OF_RESOURCES: No room for it.
        EFI_NOT_FOUND: A file that ``initrd=`` names is not there.
    """
    linux = stub.kernel.linux
    offer = offered_initrd(stub.flow) if linux is not None and linux.uses_load_file2 else None
    if offer is not None:
        stub.flow.stage = LOAD_INITRD
        status = _by_load_file2(stub, offer[1])
    else:
        names = _INITRD_OPTION.findall(stub.cmdline)
        if has_one or not names:
            return SUCCESS
        stub.flow.stage = LOAD_INITRD
        status = _by_option(stub, names)
    if status.is_error:
        stub.flow.messages.append(f"EFI stub: ERROR: Failed to load initrd: {status.value:#x}")
        return status
    services = stub.flow.services
    if stub.decompresses:
        _, table = services.allocate_pool(_LOADER_DATA, _INITRD_TABLE_SIZE)
        services.install_configuration_table(LINUX_EFI_INITRD_TABLE_GUID, table)
    return SUCCESS


def _by_load_file2(stub: StubCalls, source: InitrdLoadFile2) -> EfiStatus:
    flow = stub.flow
    source.load_file("", boot_policy=False)
    status, start = flow.allocate("initrd", _MAX, _LOADER_DATA, source.size)
    if status.is_error:
        return _no_room(stub, status, source.size)
    source.on_read()
    _fill(stub, start, source.pieces, source.size)
    return SUCCESS


def _by_option(stub: StubCalls, names: list[str]) -> EfiStatus:
    """One buffer that grows: for each file a larger one, the old copied and freed."""
    services, linux = stub.flow.services, stub.kernel.linux
    assert linux is not None
    soft = linux.initrd_addr_max
    hard = NO_LIMIT if linux.xloadflags & _ABOVE_4G else soft
    views: list[memoryview] = []
    for name in names:
        pieces = _file_on_volume(stub, name)
        if pieces is None:
            why = f"the EFI stub does not find {name}, which initrd= names, on the volume that the kernel came from"
            return stub.flow.fail("Open", EfiStatus.EFI_NOT_FOUND, 0, why)
        views += [view for _, view in pieces]
        layout = join(views, padding=1)
        size = joined_size(layout)
        if not size:
            continue  # nothing to read so far
        before = stub.flow.placed("initrd")
        if before is not None and align_up(before.size, PAGE_SIZE) >= size:
            _fill(stub, before.start, layout, size)
            continue
        status, start = stub.flow.allocate("initrd", _MAX, _LOADER_DATA, size, soft)
        if status is EfiStatus.EFI_OUT_OF_RESOURCES and soft < hard:
            status, start = stub.flow.allocate("initrd", _MAX, _LOADER_DATA, size, hard)
        if status.is_error:
            return _no_room(stub, status, size, hard)
        if before is not None:
            services.free_pages(before.start, pages_for(before.size))
            stub.flow.free(before)
        _fill(stub, start, layout, size)
    return SUCCESS


def _file_on_volume(stub: StubCalls, name: str) -> Pieces | None:
    image = stub.image
    if image is None or image.device_handle is None:
        return None
    handles = stub.flow.services.handles
    volume = handles.handle_protocol(image.device_handle, EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID).interface
    return volume.pieces(name.replace("/", "\\")) if isinstance(volume, BlobFileSystem) else None


def _fill(stub: StubCalls, start: int, pieces: Pieces, size: int) -> None:
    for offset, view in pieces:
        stub.flow.services.contents.map_view(start + offset, view)
    placed = stub.flow.placed("initrd")
    assert placed is not None
    stub.flow.fit(placed, size)


def _no_room(stub: StubCalls, status: EfiStatus, size: int, maximum: int = NO_LIMIT) -> EfiStatus:
    why = f"the EFI stub finds no room for the initrd: {shortage(stub.flow.services, size, maximum)}"
    if not size:
        why = "the initrd on offer is empty: the EFI stub asks for no pages, which firmware refuses"
    return stub.flow.fail(service_names.ALLOCATE_PAGES, status, size, why, maximum)

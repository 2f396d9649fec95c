"""Small machines for the tests of the DXE core."""

from __future__ import annotations

from typing import Final

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.core import start_core
from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.dxe.memory.bins import Bins
from tdvfsh.dxe.memory.gcd import MemorySpaceMap
from tdvfsh.dxe.memory.memory_map import MapEntry
from tdvfsh.dxe.profile import UPSTREAM, FirmwareProfile
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.trace import Trace
from tdvfsh.uefi.guids import EFI_LOADED_IMAGE_PROTOCOL_GUID
from tdvfsh.uefi.memory import EfiGcdMemoryType, EfiMemoryType
from tdvfsh.units import MIB, PAGE_SIZE

RAM: Final = 128 * MIB
CONVENTIONAL: Final = EfiMemoryType.EfiConventionalMemory
LOADER_CODE: Final = EfiMemoryType.EfiLoaderCode
LOADER_DATA: Final = EfiMemoryType.EfiLoaderData
BS_DATA: Final = EfiMemoryType.EfiBootServicesData
RT_CODE: Final = EfiMemoryType.EfiRuntimeServicesCode
RT_DATA: Final = EfiMemoryType.EfiRuntimeServicesData
RESERVED: Final = EfiMemoryType.EfiReservedMemoryType
ANY, MAX, ADDRESS = 0, 1, 2
WB: Final = 0xF


def page(number: int) -> int:
    """The address of a page."""
    return number * PAGE_SIZE


def plain_machine(
    profile: FirmwareProfile = UPSTREAM, entries: list[MapEntry] | None = None, bins: Bins | None = None
) -> BootServices:
    """A plain guest: 128 MiB of free memory from page 0, but for the pages that ``entries`` name."""
    gcd = MemorySpaceMap()
    gcd.add_memory_space(EfiGcdMemoryType.EfiGcdMemoryTypeSystemMemory, 0, RAM, WB)
    if entries is None:
        entries = [MapEntry(0, RAM, CONVENTIONAL, WB)]
    td = TrustDomain(RamLayout.q35(RAM), td=False)
    return BootServices(start_core(profile, entries, bins or Bins(), gcd), td, Trace())


def own_image(services: BootServices) -> int:
    """The handle of a started application that calls the services."""
    own = LoadedImage(0, None, None, 0, 0, LOADER_CODE, LOADER_DATA, 0, 0, 0, None, memoryview(b""), 0, started=True)
    handle = services.handles.install_protocol_interface(None, EFI_LOADED_IMAGE_PROTOCOL_GUID, own).handle
    assert handle is not None
    return handle


def shape(services: BootServices) -> list[tuple[int, int, int]]:
    """gMemoryMap as ``(first page, pages, type)``."""
    return [
        (entry.start // PAGE_SIZE, (entry.end - entry.start) // PAGE_SIZE, entry.memory_type)
        for entry in services.core.memory_map
    ]

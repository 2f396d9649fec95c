"""Where an EFI stub puts the kernel, by generation.

Source: Linux drivers/firmware/efi/libstub/x86-stub.c, randomalloc.c and relocate.c: 6.6 and later (and the same code in
the 6.1 long-term branch) decompress in the stub; 5.8 to 6.5 stay in place or move.
"""

from __future__ import annotations

from tdvfsh.accept.needs import NO_LIMIT, Need
from tdvfsh.dxe.memory_services import MemoryMapResult
from tdvfsh.formats.linux import StubGeneration
from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import KernelFile
from tdvfsh.loaders.flow import LOAD_KERNEL, shortage
from tdvfsh.loaders.stub_calls import StubCalls
from tdvfsh.uefi import service_names
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import MIB, PAGE_SHIFT, PAGE_SIZE, align_down, align_up, pages_for

LOAD_PHYSICAL_ADDRESS: Final = 16 * MIB  # CONFIG_PHYSICAL_START
KERNEL_ALIGNMENT: Final = 2 * MIB  # CONFIG_PHYSICAL_ALIGN

_LOADER_DATA: Final = EfiMemoryType.EfiLoaderData
_LOADER_CODE: Final = EfiMemoryType.EfiLoaderCode
_CONVENTIONAL: Final = int(EfiMemoryType.EfiConventionalMemory)
_ADDRESS: Final = EfiAllocateType.AllocateAddress
_NO_KASLR: Final = pattern(r"(?:^|\s)(?:nokaslr|mem=|memmap=)")


def kernel_need(kernel: KernelFile) -> Need | None:
    """What the stub will ask for, for loaders that accept before they start it; None where it asks for nothing."""
    size = kernel.kernel_buffer_size
    if not size or kernel.linux is None or kernel.pe is None:
        return None
    if kernel.linux.stub_generation is StubGeneration.DECOMPRESS:
        return Need("kernel", size, _LOADER_CODE, minimum=LOAD_PHYSICAL_ADDRESS, alignment=KERNEL_ALIGNMENT)
    if kernel.pe.image_size >= size:
        return None
    alignment = max(kernel.linux.kernel_alignment, PAGE_SIZE)
    return Need("kernel", size, _LOADER_DATA, minimum=LOAD_PHYSICAL_ADDRESS, alignment=alignment)


def place_kernel(stub: StubCalls) -> EfiStatus:
    """The step of the stub's generation.

    Returns:
        EFI_OUT_OF_RESOURCES: No slot for the decompressed kernel; nothing was asked of AllocatePages.
        EFI_NOT_FOUND: No room to move to (up to 6.5).
    """
    stub.flow.stage = LOAD_KERNEL
    return _decompress(stub) if stub.decompresses else _stay_or_move(stub)


def choose_slot(memory_map: MemoryMapResult, size: int, seed: int) -> int | None:
    """efi_random_alloc: the slot that ``seed`` picks among all that can hold ``size`` bytes; the lowest for seed 0.

    Args:
        memory_map: As GetMemoryMap returned it; slots count in its order.
        size: Bytes.
        seed: 32 bits.
    """
    size = pages_for(size) * PAGE_SIZE
    slots: list[tuple[int, int]] = []
    for memory_type, start, number_of_pages, _, _ in memory_map.descriptors:
        if memory_type != _CONVENTIONAL:
            continue
        first = align_up(max(start, LOAD_PHYSICAL_ADDRESS), KERNEL_ALIGNMENT)
        last = align_down(min(start + (number_of_pages << PAGE_SHIFT), NO_LIMIT) - size, KERNEL_ALIGNMENT)
        if first <= last:
            slots.append((first, (last - first) // KERNEL_ALIGNMENT + 1))
    total = sum(count for _, count in slots)
    if not total:
        return None
    target = seed * total >> 32
    for first, count in slots:
        if target < count:
            return first + target * KERNEL_ALIGNMENT
        target -= count
    return None


def _decompress(stub: StubCalls) -> EfiStatus:
    """efi_decompress_kernel: read the map, choose a slot, ask for it by address."""
    flow, services = stub.flow, stub.flow.services
    size = stub.kernel.kernel_buffer_size
    memory_map, buffer = stub.read_memory_map(_LOADER_DATA)
    if memory_map.status.is_error:
        return stub.no_room(service_names.GET_MEMORY_MAP, memory_map.status, 0, "the memory map")
    seed = 0 if _NO_KASLR.search(stub.cmdline) else flow.kaslr_seed
    address = choose_slot(memory_map, size, seed)
    status = SUCCESS
    if address is None:
        status = EfiStatus.EFI_OUT_OF_RESOURCES
        numbers = shortage(services, size, minimum=LOAD_PHYSICAL_ADDRESS)
        flow.fail(
            service_names.GET_MEMORY_MAP,
            status,
            size,
            f"the EFI stub finds no 2 MiB aligned place at or above 16 MiB for the kernel: {numbers}; it reads the "
            "memory map itself and asks for nothing, so an accept inside the allocator is never tried",
            minimum=LOAD_PHYSICAL_ADDRESS,
        )
        flow.messages.append("EFI stub: ERROR: Failed to decompress kernel")
        if stub.is_backport:  # 6.1.176; tests/loaders/test_efi_stub.py
            flow.hang("the stub of 6.1 dies of an invalid opcode (#UD) here, so no retry is possible")
    else:
        status, _ = flow.allocate("kernel", _ADDRESS, _LOADER_CODE, size, address)
    services.free_pool(buffer)
    return status


def _stay_or_move(stub: StubCalls) -> EfiStatus:
    """Up to 6.5: the image's own place, if it has room for init_size there and lies high enough; else another one."""
    flow = stub.flow
    linux, image = stub.kernel.linux, stub.image
    assert linux is not None
    size = linux.init_size
    alignment = max(linux.kernel_alignment, PAGE_SIZE)
    if image is not None:
        start = align_up(image.image_base, alignment)
        if start >= LOAD_PHYSICAL_ADDRESS and start + size <= image.image_base + image.image_size:
            flow.place("kernel", start, size, image.image_code_type)
            return SUCCESS
    status, _ = flow.allocate("kernel", _ADDRESS, _LOADER_DATA, size, linux.pref_address)
    if status is SUCCESS:
        return status
    status = _lowest_above(stub, size, alignment)
    if status.is_error:
        numbers = shortage(flow.services, size, minimum=LOAD_PHYSICAL_ADDRESS)
        flow.fail(
            service_names.GET_MEMORY_MAP,
            status,
            size,
            f"the EFI stub cannot have {linux.pref_address:#x} and finds no other place at or above 16 MiB for the "
            f"kernel: {numbers}; it asks by address only, so an accept inside the allocator is never tried",
            minimum=LOAD_PHYSICAL_ADDRESS,
        )
        flow.messages += [
            "EFI stub: ERROR: Failed to allocate usable memory for kernel.",
            "EFI stub: ERROR: efi_relocate_kernel() failed!",
        ]
    return status


def _lowest_above(stub: StubCalls, size: int, alignment: int) -> EfiStatus:
    """efi_low_alloc_above: the lowest fit at or above LOAD_PHYSICAL_ADDR; EFI_NOT_FOUND where there is none."""
    memory_map, buffer = stub.read_memory_map(_LOADER_DATA)
    if memory_map.status.is_error:
        return memory_map.status
    status = EfiStatus.EFI_NOT_FOUND
    for entry in memory_map.descriptors:
        at = align_up(max(entry.physical_start, LOAD_PHYSICAL_ADDRESS), alignment)
        if entry.memory_type != EfiMemoryType.EfiConventionalMemory or at + size > entry.physical_end:
            continue
        status, _ = stub.flow.allocate("kernel", _ADDRESS, _LOADER_DATA, size, at)
        if status is SUCCESS:
            break
        status = EfiStatus.EFI_NOT_FOUND
    stub.flow.services.free_pool(buffer)
    return status

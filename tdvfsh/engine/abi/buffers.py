"""Buffers that services fill: the caller's own, and pool buffers that the caller frees."""

from __future__ import annotations

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus


def fill_buffer(ram: GuestRam, size: int, buffer: int, data: bytes) -> EfiStatus:
    """Fill a caller's buffer, whose size in bytes stands at ``size``; what is needed stands there afterwards.

    Returns:
        EFI_BUFFER_TOO_SMALL: There is less room; nothing is written.
        EFI_INVALID_PARAMETER: There would be room, but no buffer.
    """
    room = ram.u64(size)
    ram.put_u64(size, len(data))
    if room < len(data):
        return EfiStatus.EFI_BUFFER_TOO_SMALL
    if not buffer:
        return EfiStatus.EFI_INVALID_PARAMETER
    ram.write(buffer, data)
    return SUCCESS


def pool_buffer(context: GuestContext, data: bytes) -> int:
    """Address of a new pool buffer that holds ``data``; 0 where there is no memory."""
    services = context.services
    with services.trace.on_behalf_of("dxe"):
        buffer = services.allocate_pool(EfiMemoryType.EfiBootServicesData, max(len(data), 1)).buffer
    if buffer:
        context.ram.write(buffer, data)
    return buffer or 0


def give_array(context: GuestContext, data: bytes, buffer: int, count: int, number: int) -> EfiStatus:
    """Store the address of a new pool buffer at ``buffer`` and the number of its elements at ``count``.

    Returns:
        EFI_OUT_OF_RESOURCES: No memory; nothing is stored.
    """
    address = pool_buffer(context, data)
    if not address:
        return EfiStatus.EFI_OUT_OF_RESOURCES
    context.ram.put_u64(buffer, address)
    context.ram.put_u64(count, number)
    return SUCCESS

"""Converting private pages to shared ones and back: the MapGPA TDVMCALL, and edk2's loop around it.

Source: Guest-Host-Communication Interface 1.5, TDG.VP.VMCALL<MapGPA>; edk2
OvmfPkg/Library/BaseMemEncryptTdxLib/MemoryEncryption.c.
"""

from __future__ import annotations

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import TYPE_CHECKING, Final, NamedTuple
from tdvfsh.td.accept import NOTHING, AcceptOutcome, accept_memory_resource
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.uefi.tdx import TdvmcallStatus
from tdvfsh.units import GIB, LARGE_PAGE_SIZE, PAGE_SIZE

if TYPE_CHECKING:
    from tdvfsh.td.trust_domain import TrustDomain

MAX_RETRIES_PER_PAGE: Final = 3
_ENTRY_SIZES: Final = (GIB, LARGE_PAGE_SIZE, PAGE_SIZE)


class MapGpaResult(NamedTuple):
    """R10, and R11: where to continue after RETRY, with the shared bit as in the request."""

    r10: TdvmcallStatus
    r11: int


@dataclass(frozen=True, slots=True)
class ConvertOutcome:
    """What a conversion did: its status, MapGPA calls, RETRY answers, and the accept that followed it."""

    status: EfiStatus = SUCCESS
    calls: int = 0
    retries: int = 0
    accept: AcceptOutcome = NOTHING

    def __add__(self, other: ConvertOutcome) -> ConvertOutcome:
        return ConvertOutcome(
            self.status if self.status.is_error else other.status,
            self.calls + other.calls,
            self.retries + other.retries,
            self.accept + other.accept,
        )


def map_gpa(td: TrustDomain, gpa: int, size: int) -> MapGpaResult:
    """One MapGPA call. The pages lose their contents and, if made private, must be accepted again.

    Args:
        td: The trust domain; its clock advances.
        gpa: First byte, with the shared bit set to make the range shared and clear to make it private; page aligned.
        size: Bytes, a page multiple.

    Returns:
        SUCCESS, also for a range without RAM that is made shared; RETRY with the address to continue from, where the
        VMM converts only so much at once; INVALID_OPERAND for a range that is misaligned or empty, that reaches from
        RAM to where there is none, or that is made private without being RAM.

    Source: QEMU accel/kvm/kvm-all.c (kvm_convert_memory): device registers are shared already.
    """
    td.map_gpa_calls += 1
    td.spend(td.cost.calls("map_gpa", 1))
    fault = td.faults.map_gpa(td.map_gpa_calls) if td.faults is not None else None
    if fault is not None:
        return MapGpaResult(fault, gpa if fault is TdvmcallStatus.RETRY else 0)
    start = gpa & ~td.shared_mask
    if (start | size) % PAGE_SIZE or size <= 0 or start + size > td.shared_mask:
        return MapGpaResult(TdvmcallStatus.INVALID_OPERAND, 0)
    if not td.ram.contains(start, start + size):
        has_ram = any(span.start < start + size and start < span.end for span in td.ram.spans)
        shared = bool(gpa & td.shared_mask)
        return MapGpaResult(TdvmcallStatus.SUCCESS if shared and not has_ram else TdvmcallStatus.INVALID_OPERAND, 0)
    done = size if td.max_map_gpa is None else min(size, td.max_map_gpa)
    _convert(td, start, start + done, shared=bool(gpa & td.shared_mask))
    if done < size:
        return MapGpaResult(TdvmcallStatus.RETRY, gpa + done)
    return MapGpaResult(TdvmcallStatus.SUCCESS, 0)


def set_memory_shared(td: TrustDomain, start: int, size: int) -> ConvertOutcome:
    """edk2's conversion of ``size`` bytes at ``start`` to shared, with its retries.

    edk2 goes by page table entries: one MapGPA call, or a chain of them after RETRY, for each 1 GiB, 2 MiB or 4 KiB
    that is aligned and left.

    Returns:
        EFI_SUCCESS; EFI_DEVICE_ERROR where the VMM refused, pointed outside the entry, or answered RETRY without
        progress three times in a row; EFI_INVALID_PARAMETER for size 0; EFI_UNSUPPORTED in a machine that is not a TD.
    """
    return _set_memory(td, start, size, td.shared_mask)


def set_memory_private(td: TrustDomain, start: int, size: int) -> ConvertOutcome:
    """edk2's conversion of ``size`` bytes at ``start`` to private, and the accept of them.

    After a RETRY edk2 accepts only from the last address it went on from, so that the part of the page table entry
    before it stays unaccepted.

    Returns:
        As :func:`set_memory_shared`, or the accept's status.
    """
    return _set_memory(td, start, size, 0)


def _set_memory(td: TrustDomain, start: int, size: int, shared_bit: int) -> ConvertOutcome:
    if not td.is_td:
        return ConvertOutcome(EfiStatus.EFI_UNSUPPORTED)
    if size <= 0:
        return ConvertOutcome(EfiStatus.EFI_INVALID_PARAMETER)
    outcome = ConvertOutcome()
    at, end = start, start + size
    while at < end and not outcome.status.is_error:
        entry = next((each for each in _ENTRY_SIZES if at % each == 0 and end - at >= each), end - at)
        outcome += _set_entry(td, at, entry, shared_bit)
        at += entry
    return outcome


def _set_entry(td: TrustDomain, start: int, size: int, shared_bit: int) -> ConvertOutcome:
    at, end, calls, retries, stuck = start, start + size, 0, 0, 0
    while True:
        answer = map_gpa(td, at | shared_bit, end - at)
        calls += 1
        if answer.r10 is TdvmcallStatus.SUCCESS:
            break
        following = answer.r11 & ~td.shared_mask
        if answer.r10 is not TdvmcallStatus.RETRY or not at <= following < end:
            return ConvertOutcome(EfiStatus.EFI_DEVICE_ERROR, calls, retries)
        retries += 1
        stuck = 0 if following > at else stuck + 1
        if stuck == MAX_RETRIES_PER_PAGE:
            return ConvertOutcome(EfiStatus.EFI_DEVICE_ERROR, calls, retries)
        at = following
    if shared_bit:
        return ConvertOutcome(SUCCESS, calls, retries)
    accept = accept_memory_resource(td, at, end - at)
    return ConvertOutcome(accept.status, calls, retries, accept)


def _convert(td: TrustDomain, start: int, end: int, shared: bool) -> None:
    if shared:
        td.sept.remove(start, end)
        td.contents.discard(start, end)
        td.shared.set(start, end, True)
        return
    for low, high, _ in list(td.shared.spans(start, end)):
        td.contents.discard(low, high)
    td.shared.clear(start, end)

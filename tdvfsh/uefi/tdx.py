"""Numbers of Intel TDX as firmware and its guest see them: TDCALL leaves, completion codes, SEPT states, metadata.

Source: Intel TDX module 1.5 ABI (tdx_error_codes_defs.h, tdg_mem_page_accept.c); Guest-Host-Communication Interface
(TDVMCALL); edk2 MdePkg/Include/IndustryStandard/Tdx.h and OvmfPkg/ResetVector/X64/IntelTdxMetadata.asm.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.guids import Guid

_ERROR: Final = 1 << 63


class TdcallLeaf(IntEnum):
    """RAX of a TDCALL, by edk2's short names."""

    TDVMCALL = 0
    TDINFO = 1
    TDEXTENDRTMR = 2
    TDGETVEINFO = 3
    TDREPORT = 4
    TDSETCPUIDVE = 5
    TDACCEPTPAGE = 6


class TdvmcallId(IntEnum):
    """R11 of a TDG.VP.VMCALL whose R10 is 0."""

    MAP_GPA = 0x10001
    GET_QUOTE = 0x10002
    REPORT_FATAL_ERROR = 0x10003
    SETUP_EVENT_NOTIFY_INTERRUPT = 0x10004


class TdvmcallStatus(IntEnum):
    """R10 after a TDG.VP.VMCALL."""

    SUCCESS = 0
    RETRY = 1
    INVALID_OPERAND = 0x8000000000000000


class TdcallStatus(IntEnum):
    """Completion codes in RAX, without the low 32 bits (operand id or SEPT level).

    Bit 63 tells an error from a success or warning. ``NOT_RETURNED`` is not a code of the TDX module: it stands for a
    TDCALL that never completes, because it left the TD with an EPT violation that the VMM cannot cure.
    """

    SUCCESS = 0
    PAGE_ALREADY_ACCEPTED = 0x00000B0A00000000
    INTERRUPTED_RESUMABLE = 0x8000000300000000
    OPERAND_BUSY = 0x8000020000000000
    OPERAND_BUSY_HOST_PRIORITY = 0x8000020400000000
    HOST_PRIORITY_BUSY_TIMEOUT = 0x9000020500000000
    OPERAND_INVALID = 0xC000010000000000
    EPT_WALK_FAILED = 0xC0000B0000000000
    PAGE_SIZE_MISMATCH = 0xC0000B0B00000000
    EPT_ENTRY_STATE_INCORRECT = 0xC0000B0D00000000
    NOT_RETURNED = 0xFFFFFFFF00000000

    @property
    def is_error(self) -> bool:
        """Whether bit 63 is set."""
        return bool(self.value & _ERROR)


COMPLETION_CODE_MASK: Final = 0xFFFFFFFF00000000
"""Takes the low half (operand id or level) off a completion value."""


def completion_code(status: int) -> int:
    """The completion value without operand id or level."""
    return status & COMPLETION_CODE_MASK


def completion_name(status: int) -> str:
    """The code's name for a 64-bit completion value; the number in hex where it has none."""
    try:
        return TdcallStatus(completion_code(status)).name
    except ValueError:
        return f"{status:#x}"


def completion_from_name(name: str) -> TdcallStatus:
    """The completion code called ``name``, with or without ``TDX_``, in any case.

    Raises:
        KeyError: No code has that name.
    """
    return TdcallStatus[name.upper().removeprefix("TDX_")]


class OperandId(IntEnum):
    """The register that an OPERAND_* completion refers to (low 32 bits)."""

    RAX = 0
    RCX = 1
    RDX = 2


class SeptLevel(IntEnum):
    """Level of a secure-EPT entry as TDG.MEM.PAGE.ACCEPT encodes it in RCX bits 2:0.

    ``page_size`` is the bytes that a leaf of the level maps.
    """

    page_size: int

    def __new__(cls, value: int) -> SeptLevel:
        member = int.__new__(cls, value)
        member._value_ = value
        member.page_size = 1 << 12 + 9 * value
        return member

    LEVEL_4K = 0
    LEVEL_2M = 1
    LEVEL_1G = 2


class SeptState(IntEnum):
    """Secure-EPT entry states with the codes that TDH.MEM.SEPT.RD reports; NL_MAPPED is an entry that holds a table."""

    FREE = 0
    BLOCKED = 1
    PENDING = 2
    PENDING_BLOCKED = 3
    MAPPED = 4
    REMOVED = 5
    NL_MAPPED = 6
    NL_BLOCKED = 7
    BLOCKEDW = 8


SEPT_VE_DISABLE: Final = 1 << 28
"""ATTRIBUTES bit: access to a PENDING page leaves the TD instead of raising #VE."""

ACCEPT_GPA_MASK: Final = 0x000FFFFFFFFFF000
"""RCX bits 51:12 of TDG.MEM.PAGE.ACCEPT."""
ACCEPT_LEVEL_MASK: Final = 0x7

TDX_FOOTER_TABLE_GUID: Final = Guid("96b582de-1fb2-45f7-baea-a366c55a082d")
"""Ends OVMF's table of GUIDed entries, in the 16 bytes before file_end - 0x20."""
TDX_METADATA_OFFSET_GUID: Final = Guid("e47a6535-984a-4798-865e-4685a7bf8ec2")
"""Entry of that table: u32 distance from the end of the file back to the TDVF descriptor."""
TDX_METADATA_GUID: Final = Guid("e9eaf9f3-168e-44d5-a8eb-7f4d8738f6ae")
"""The 16 bytes before the TDVF descriptor."""
TDVF_SIGNATURE: Final = 0x46564454
TDVF_VERSION: Final = 1


class TdvfSectionType(IntEnum):
    """Type field of a TDVF metadata section."""

    BFV = 0
    CFV = 1
    TD_HOB = 2
    TEMP_MEM = 3
    PERM_MEM = 4
    PAYLOAD = 5
    PAYLOAD_PARAM = 6
    TD_INFO = 7
    TD_PARAMS = 8


class TdvfSectionAttributes(IntFlag):
    """Attributes field of a TDVF metadata section."""

    NONE = 0
    MR_EXTEND = 1
    PAGE_AUG = 2

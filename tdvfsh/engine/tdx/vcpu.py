"""What the TDX module and the VMM keep of one vCPU.

Source: Intel TDX module 1.5 ABI, TDVPS.
"""

from __future__ import annotations

from tdvfsh.engine.tdx.msrs import TdMsrs
from tdvfsh.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class VirtualizationInfo:
    """What TDG.VP.VEINFO.GET returns about a #VE."""

    exit_reason: int
    exit_qualification: int = 0
    linear: int = 0
    physical: int = 0
    instruction_length: int = 0
    instruction_information: int = 0


@dataclass
class TdVcpu:
    """One vCPU.

    Attributes:
        index: Its number, from 0.
        msrs: Its registers that are not the processor's.
        virtualization: Information about the last #VE that the guest has not read yet.
    """

    index: int
    msrs: TdMsrs
    virtualization: VirtualizationInfo | None = None

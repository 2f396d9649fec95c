"""What differs between generations of edk2's DXE core, as data.

Source: the differences were read in edk2 at tags edk2-stable202108 (with edk2-staging's lazy-accept series) and
edk2-stable202211, and at its 2026 head; what recordings of real firmware show is noted at the field.
"""

from __future__ import annotations

from tdvfsh.dxe.secure_boot.rules import VERIFICATION, VerificationRules
from tdvfsh.errors import UsageError
from tdvfsh.lazy_dataclass import dataclass, replace
from tdvfsh.lazy_typing import Final
from tdvfsh.td.sec import SEC_RULES, SecRules
from tdvfsh.uefi.status import EfiStatus


@dataclass(frozen=True, slots=True)
class FirmwareProfile:
    """The rules of one generation.

    Attributes:
        name: As ``--profile`` names it.
        edk2: Which edk2 it stands for.
        pages_reject_unaccepted: AllocatePages refuses EfiUnacceptedMemoryType.
        pool_rejects_unaccepted: AllocatePool refuses it (edk2 96192ba5bd, January 2023).
        address_zero_allowed: AllocateAddress may take page 0 (until edk2 91bb5cee36, June 2025).
        map_counts_unaccepted: GetMemoryMap's needed size counts unaccepted ranges (f80a406aa9, October 2025).
        bins_split_free: Free memory inside a special bin is reported as the bin's type page by page, not only where
            the whole descriptor lies inside.
        bin_slack_descriptors: Descriptors that GetMemoryMap's size check counts per special bin (recorded: 2026.08).
        load_image_without_source: Status of LoadImage without path and buffer.
        sal_runtime_subsystem: Subsystem 13 loads as a runtime driver.
        before_exit_boot_services: The BeforeExitBootServices event group is signalled.
        runtime_images: Runtime drivers that stay in memory on OVMF; the buffer in which the Memory Attributes Table is
            prepared has room to split each.
        descriptors_per_runtime_image: How much room for each: 2 for its one code section and 3 more, or 1 more before
            2023.
        runtime_split_entries: Entries that splitting them adds to that table (walks of 2022.11 and 2025.02 recorded).
        sec: How SEC accepts at boot; ``large_pages`` holds for the accept protocol, too.
        footprint: Name of the recorded firmware that goes with it where no other is asked for.
        rng_protocol: OVMF offers EFI_RNG_PROTOCOL by itself (recorded: 2025.02 does, 2022.11 does not);
            without one the EFI stub has no seed to pass on.
        legacy_loader_in_td: OVMF's old Linux loader takes a kernel that Secure Boot refused in a TD, too (until
            5a6a9f7955, stable202511).
        legacy_loader_after_refusal: It does so in a plain VM (by default until d2cbaefc08, stable202602).
        short_hard_drives: Partitions in device paths have a short form for display (9e6537469d, December 2024; run:
            2025.02 has it, 2022.11 does not).
        verification: What image verification knows.
        initrd_option_first: OVMF puts ``initrd=initrd`` before the command line (a2ac0fea49, May 2025), not after it.
    """

    name: str
    edk2: str
    pages_reject_unaccepted: bool = True
    pool_rejects_unaccepted: bool = True
    address_zero_allowed: bool = False
    map_counts_unaccepted: bool = True
    bins_split_free: bool = True
    bin_slack_descriptors: int = 2
    load_image_without_source: EfiStatus = EfiStatus.EFI_NOT_FOUND
    sal_runtime_subsystem: bool = False
    before_exit_boot_services: bool = True
    initrd_option_first: bool = True
    rng_protocol: bool = True
    short_hard_drives: bool = True
    legacy_loader_in_td: bool = False
    legacy_loader_after_refusal: bool = False
    runtime_images: int = 9
    descriptors_per_runtime_image: int = 5
    runtime_split_entries: int = 19
    verification: VerificationRules = VERIFICATION
    sec: SecRules = SEC_RULES
    footprint: str = "inteltdx"


UPSTREAM: Final = FirmwareProfile("upstream", "edk2 2026 head")

TRIXIE: Final = replace(
    UPSTREAM,
    name="trixie",
    edk2="edk2-stable202502",
    address_zero_allowed=True,
    map_counts_unaccepted=False,
    bins_split_free=False,
    bin_slack_descriptors=0,
    load_image_without_source=EfiStatus.EFI_INVALID_PARAMETER,
    sal_runtime_subsystem=True,
    legacy_loader_in_td=True,
    legacy_loader_after_refusal=True,
    initrd_option_first=False,
    verification=VerificationRules(elliptic_curves=False),
    sec=SecRules(loses_ragged_end=True),
)

BOOKWORM: Final = replace(
    TRIXIE,
    name="bookworm",
    edk2="edk2-stable202211",
    pool_rejects_unaccepted=False,
    rng_protocol=False,
    short_hard_drives=False,
    descriptors_per_runtime_image=3,
    runtime_split_entries=18,
    verification=VerificationRules(elliptic_curves=False, reports_not_found=False, unsigned_hashes=("sha256",)),
    sec=SecRules(boot_processor_alone=True),
)

LAZY_V2: Final = replace(
    BOOKWORM,
    name="lazy-v2",
    edk2="edk2 pull request 3245, Lazyaccept.v2 (2022-08)",
    sec=SecRules(boot_processor_alone=True, counts_added=False, capped=True),
    footprint="lazy-v2",
)
"""The RFC's option 1 as its author carried it into edk2: a size to accept at boot, and an allocator that accepts."""

RFC2021: Final = replace(
    LAZY_V2,
    name="rfc2021",
    edk2="edk2-stable202108 with edk2-staging's lazy accept",
    pages_reject_unaccepted=False,
    before_exit_boot_services=False,
    sec=replace(LAZY_V2.sec, large_pages=False),
)

SID: Final = replace(UPSTREAM, name="sid", edk2="edk2-stable202608")

PROFILES: Final = {profile.name: profile for profile in (UPSTREAM, RFC2021, LAZY_V2, TRIXIE, BOOKWORM, SID)}


def profile_named(name: str) -> FirmwareProfile:
    """The profile called ``name``.

    Raises:
        UsageError: Unknown name; the message lists the known ones.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise UsageError(f"--profile {name}: unknown; choose one of {', '.join(PROFILES)}") from None

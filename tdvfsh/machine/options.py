"""The TD options, as every command that makes a TD takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tdvfsh.accept.boot_time import BootAccept, parse_boot_accept
from tdvfsh.accept.on_demand import ON_DEMAND_NAMES
from tdvfsh.dxe.profile import AUTOMATIC, UPSTREAM, profile_named
from tdvfsh.errors import UsageError
from tdvfsh.loaders.flow import DEFAULT_KASLR_SEED
from tdvfsh.td.footprint import FIRMWARE_MODEL_NAMES, is_recorded_file
from tdvfsh.td.trust_domain import GPA_WIDTHS
from tdvfsh.units import GIB, LARGE_PAGE_SIZE, PAGE_SIZE, format_size, parse_size

LOADER_NAMES: Final = (
    "direct", "direct-legacy", "grub2.06", "grub2.12", "grub2.12-debian", "grub-rh", "chainloader", "sd-boot",
)  # fmt: skip
PLAIN_VM: Final = "plain VM"
NO_ACCEPT_AT_EXIT: Final = "none"
UNLESS_OBJECTED: Final = "unless-objected"
ACCEPT_AT_EXIT_NAMES: Final = (NO_ACCEPT_AT_EXIT, UNLESS_OBJECTED)


@dataclass(frozen=True)
class TdOptions:
    """What a TD is made of.

    Attributes:
        memory: Bytes of RAM.
        vcpus: Number of vCPUs.
        gpaw: 48 or 52.
        accept: Boot-time policy.
        on_demand: Name of the option in force.
        profile: Name of the firmware generation's rules; ``auto`` is that of ``firmware``, else ``upstream``.
        loader: Name of the boot flow.
        firmware_model: Name of the recorded footprint, or path of one that was recorded; ``auto`` is that of
            ``firmware``, else the one that goes with ``profile``.
        td: False for a plain VM: all RAM is accepted from the start.
        host_page_size: Largest page that the host maps: 4096 or 2 MiB.
        kaslr_seed: 32-bit seed of the EFI stub's choice.
        max_ram_below_4g: QEMU's machine option, in bytes.
        map_file: An imported memory map to start from, instead of a footprint.
        firmware: A firmware file whose TDX metadata makes the TD, and whose kind chooses the footprint.
        sept_ve_disable: TD attribute bit 28: touching unaccepted memory leaves the TD instead of raising #VE.
        accept_at_exit: ``none``, or ``unless-objected``: firmware accepts what is left at ExitBootServices.
        faults: Failures on purpose, as :mod:`tdvfsh.machine.faults` reads them.
        os_workload: Bytes that the operating system uses after boot, for the modelled OS side.
    """

    memory: int = 4 * GIB
    vcpus: int = 1
    gpaw: int = 48
    accept: BootAccept = field(default_factory=lambda: parse_boot_accept("512M"))
    on_demand: str = "none"
    profile: str = AUTOMATIC
    loader: str = "direct"
    firmware_model: str = AUTOMATIC
    td: bool = True
    host_page_size: int = LARGE_PAGE_SIZE
    kaslr_seed: int = DEFAULT_KASLR_SEED
    max_ram_below_4g: int = 4 * GIB
    map_file: str | None = None
    firmware: str | None = None
    sept_ve_disable: bool = True
    accept_at_exit: str = NO_ACCEPT_AT_EXIT
    faults: tuple[str, ...] = ()
    os_workload: int = 0

    def __post_init__(self) -> None:
        _one_of("--on-demand", self.on_demand, ON_DEMAND_NAMES)
        _one_of("--loader", self.loader, LOADER_NAMES)
        if self.firmware_model != AUTOMATIC and not is_recorded_file(self.firmware_model):
            _one_of("--firmware-model", self.firmware_model, FIRMWARE_MODEL_NAMES)
        _one_of("--accept-at-exit", self.accept_at_exit, ACCEPT_AT_EXIT_NAMES)
        profile = UPSTREAM if self.profile == AUTOMATIC else profile_named(self.profile)
        if self.accept_at_exit == UNLESS_OBJECTED and not profile.before_exit_boot_services:
            raise UsageError(
                f"--accept-at-exit {UNLESS_OBJECTED}: profile {self.profile} has no BeforeExitBootServices event"
            )
        if self.gpaw not in GPA_WIDTHS:
            raise UsageError(f"--gpaw {self.gpaw}: a TD has 48 or 52")
        if self.vcpus < 1:
            raise UsageError(f"--vcpus {self.vcpus}: a TD has at least 1")
        if self.host_page_size not in (PAGE_SIZE, LARGE_PAGE_SIZE):
            raise UsageError(f"--host-page-size {format_size(self.host_page_size)}: a host maps 4K or 2M")

    def as_dict(self) -> dict[str, object]:
        """The contract's ``td`` object."""
        return {
            "memory": self.memory,
            "vcpus": self.vcpus,
            "gpaw": self.gpaw,
            "accept": self.accept.name if self.td else PLAIN_VM,
            "on_demand": self.on_demand,
            "profile": self.profile,
            "loader": self.loader,
            "firmware_model": self.firmware_model,
            "td": self.td,
            "firmware": self.firmware,
            "map": self.map_file,
            "host_page_size": self.host_page_size,
            "sept_ve_disable": self.td and self.sept_ve_disable,
            "accept_at_exit": self.accept_at_exit,
            "faults": list(self.faults),
        }


def options_with(options: TdOptions, texts: Mapping[str, str]) -> TdOptions:
    """``options`` with fields read from text, as a person writes them; ``faults`` are separated by commas.

    Raises:
        UsageError: A value that cannot be.
    """
    changes: dict[str, Any] = {name: _READERS.get(name, str)(text) for name, text in texts.items()}
    return replace(options, **changes)


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(f"{text}: not a number") from None


_READERS: Final[dict[str, Callable[[str], object]]] = {
    "memory": parse_size,
    "vcpus": _number,
    "gpaw": _number,
    "accept": parse_boot_accept,
    "host_page_size": parse_size,
    "kaslr_seed": _number,
    "max_ram_below_4g": parse_size,
    "faults": lambda text: tuple(text.split(",")),
    "os_workload": parse_size,
}


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"{option} {value}: unknown; choose one of {', '.join(known)}")

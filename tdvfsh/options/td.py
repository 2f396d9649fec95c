"""What a TD is made of: the one table of its options.

To add an option, declare it here: command line, prompt, ``td_options()``, completion, help and, with ``sweep``, sweeps
take it from this table. A value's bounds stand here where they do not depend on other values. Names stand here too, so
that help needs no module that knows what is behind them; a test holds that something is behind each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tdvfsh.errors import UsageError
from tdvfsh.options.option import File, Number, OnOff, Option, Policy, Size, Switch, Word, Words
from tdvfsh.units import GIB, LARGE_PAGE_SIZE, MIB, PAGE_SIZE, TIB

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass
    from typing import Any
else:

    def dataclass(**how: object) -> Callable[[type], type]:
        """Leave the class as it is: :mod:`tdvfsh.machine.options` makes it a dataclass.

        To import :mod:`dataclasses` would cost the shell a tenth of its start, and the table does without.
        """
        return lambda cls: cls


LOADER_NAMES: Final = (
    "direct", "direct-legacy", "grub2.06", "grub2.12", "grub2.12-debian", "grub2.14", "grub2.14-debian", "grub-rh",
    "chainloader", "sd-boot", "sd-boot256", "sd-boot256.7",
)  # fmt: skip
_ON_DEMAND: Final = ("none", "allocator", "loader", "loader-literal", "service")
AUTOMATIC: Final = "auto"
"""As ``--profile`` and ``--firmware-model`` say: what goes with the firmware file, or with the other option."""
_PROFILES: Final = (AUTOMATIC, "rfc2021", "lazy-v2", "bookworm", "trixie", "sid", "upstream")
_FIRMWARE_MODELS: Final = (AUTOMATIC, "inteltdx", "lazy-v2", "ovmf-2022.11", "ovmf-2025.02", "ovmf-2026.08")
PLAIN_VM: Final = "plain VM"
NO_ACCEPT_AT_EXIT: Final = "none"
UNLESS_OBJECTED: Final = "unless-objected"
ACCEPT_AT_EXIT_NAMES: Final = (NO_ACCEPT_AT_EXIT, UNLESS_OBJECTED)
_MOST_VCPUS: Final = 4096
"""Source: QEMU hw/i386/pc_q35.c (max_cpus, since 9.0); KVM has the same limit."""
_MOST_BYTES: Final = 1 << 52
"""The largest guest physical address space of a TD."""


@dataclass(frozen=True)
class TdOptions:
    """What a TD is made of. A value may be given as text, as on the command line: ``TdOptions(memory="2G")``.

    Raises:
        UsageError: An invalid value; the message names the option and what is valid.
    """

    memory: Size = Size(
        "RAM", default="4G", least=PAGE_SIZE, most=_MOST_BYTES, samples=("512M", "1G", "2G", "4G", "8G"), sweep=True
    )
    accept: Policy = Policy(
        "accepted at boot: eager, SIZE, presize[:SIZE], below-4g",
        default="512M", form="POLICY", samples=("eager", "below-4g", "presize", "256M", "512M", "1G"), sweep=True,
    )  # fmt: skip
    on_demand: Word = Word("what accepts memory on demand", default="none", form="OPTION", names=_ON_DEMAND, sweep=True)
    loader: Word = Word("boot flow", default="direct", form="FLOW", names=LOADER_NAMES, sweep=True)
    vcpus: Number = Number(
        "virtual CPUs", default="1", least=1, most=_MOST_VCPUS, samples=("1", "2", "4", "8"), sweep=True
    )
    gpaw: Number = Number("guest physical address width", default="48", values=(48, 52), form="48|52", sweep=True)
    profile: Word = Word("rules of an edk2 generation", default=AUTOMATIC, form="NAME", names=_PROFILES, sweep=True)
    firmware_model: Word = Word(
        "firmware whose recorded footprint it has",
        default=AUTOMATIC, form="NAME", names=_FIRMWARE_MODELS, or_file=".toml", sweep=True,
    )  # fmt: skip
    host_page_size: Size = Size(
        "largest page the host maps", default="2M", values=(PAGE_SIZE, LARGE_PAGE_SIZE), sweep=True
    )
    kaslr_seed: Number = Number(
        "seed of the EFI stub's choice of a place for the kernel", default="0x6A09E667", most=0xFFFFFFFF, sweep=True
    )
    max_ram_below_4g: Size = Size(
        "QEMU's machine option", default="4G", least=MIB, most=4 * GIB, samples=("1G", "2G", "4G"), sweep=True
    )
    sept_ve_disable: OnOff = OnOff("touching unaccepted memory leaves the TD instead of raising #VE", default="on")
    accept_at_exit: Word = Word(
        "firmware accepts the rest at ExitBootServices",
        default=NO_ACCEPT_AT_EXIT, form="POLICY", names=ACCEPT_AT_EXIT_NAMES, sweep=True,
    )  # fmt: skip
    os_workload: Size = Size(
        "memory that the OS uses after boot, for the modelled OS side",
        default="0", most=64 * TIB, samples=("512M", "1G", "2G"),
    )  # fmt: skip
    map: File = File(
        "start from a map: memmap, efi: mem, lsefimmap or e820 lines, TD HOB list; - is standard input",
        formerly=("import",),
    )
    firmware: File = File("OVMF.fd whose TDX metadata makes the TD")
    fault: Words = Words("fail on purpose, as accept:1=OPERAND_BUSY", form="SPEC", samples=("accept:1=OPERAND_BUSY",))
    td: Switch = Switch("a TD", off="a plain VM: nothing is ever unaccepted", default="on")

    def __post_init__(self) -> None:
        if self.accept_at_exit != UNLESS_OBJECTED:
            return
        from tdvfsh.dxe.profile import UPSTREAM, profile_named

        profile = UPSTREAM if self.profile == AUTOMATIC else profile_named(self.profile)
        if not profile.before_exit_boot_services:
            raise UsageError(
                f"--accept-at-exit {UNLESS_OBJECTED}: profile {self.profile} has no BeforeExitBootServices event"
            )

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
            "map": self.map,
            "host_page_size": self.host_page_size,
            "sept_ve_disable": self.td and self.sept_ve_disable,
            "accept_at_exit": self.accept_at_exit,
            "faults": list(self.fault),
        }


OPTIONS: Final[dict[str, Option[Any, Any]]] = {
    name: option for name, option in vars(TdOptions).items() if isinstance(option, Option)
}
"""The table: every option by name, in the order of help."""

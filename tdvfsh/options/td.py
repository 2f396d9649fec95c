"""What a TD is made of: the one table of its options.

To add an option, declare it here: command line, prompt, ``td_options()``, completion, help and, with ``sweep``, sweeps
take it from this table. A value's bounds stand here where they do not depend on other values. Names stand here too, so
that help needs no module that knows what implements them; a test holds that each is implemented.
"""

from __future__ import annotations

from tdvfsh.errors import UsageError
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.options.kinds import Cost, File, HostPage, Keys, Number, OnOff, Policy, Size, Switch, Word, Words
from tdvfsh.options.option import Option
from tdvfsh.units import GIB, LARGE_PAGE_SIZE, MIB, PAGE_SIZE, TIB

AUTOMATIC: Final = "auto"
"""As ``--profile`` and ``--firmware-model`` say: what goes with the firmware file, or with the other option."""
_LOADERS: Final = {
    "direct": "QEMU direct boot by OVMF's image services",
    "direct-legacy": "QEMU direct boot by OVMF's own old Linux loader",
    "grub2.06": "GRUB 2.06",
    "grub2.12": "GRUB 2.12",
    "grub2.12-debian": "GRUB 2.12 with Debian's PE loader",
    "grub2.14": "GRUB 2.14",
    "grub2.14-debian": "GRUB 2.14 with Debian's PE loader",
    "grub-rh": "Red Hat's GRUB with its own kernel loader",
    "chainloader": "GRUB starts the kernel as an EFI program",
    "sd-boot": "systemd-boot 257.5 and later with a Type #1 entry",
    "sd-boot256": "systemd-boot up to 256.6: the initrds in pool memory",
    "sd-boot256.7": "systemd-boot 256.7 to 257.4: the initrds below 4 GiB only",
    "sd-boot262": "systemd-boot 262: it reads the kernel first, and skips empty initrds",
}
LOADER_NAMES: Final = tuple(_LOADERS)
NO_MEASUREMENT: Final = "none"
_MEASUREMENT: Final = {
    AUTOMATIC: "CC measurement in a TD, nothing in a plain VM",
    NO_MEASUREMENT: "nothing",
    "cc": "CC measurement: GRUB 2.14 measures files then, and keeps each whole in its heap",
    "tpm": "a TPM: GRUB 2.12 does so, too",
}
_ON_DEMAND: Final = {
    "none": "nothing does: allocations fail",
    "allocator": "option 1: the DXE allocator, before it would fail",
    "loader": "option 2 repaired: the loader, after any step that failed",
    "loader-literal": "option 2 to the letter: after LoadImage's OUT_OF_RESOURCES, once",
    "service": "option 3: the loader calls AcceptMemory() before each step",
}
_PROFILES: Final = {
    AUTOMATIC: "that of the firmware, else upstream",
    "rfc2021": "the lazy-accept series of 2021",
    "lazy-v2": "Lazyaccept.v2 of 2022",
    "bookworm": "edk2-stable202211",
    "trixie": "edk2-stable202502",
    "sid": "edk2-stable202608",
    "upstream": "edk2's head of 2026",
}
_FIRMWARE_MODELS: Final = {
    AUTOMATIC: "that of the firmware, else the one that goes with the profile",
    "inteltdx": "Debian's TDVF of 2026.08",
    "inteltdx-q35": "the same in a TD on the board of 'firmware run'",
    "lazy-v2": "Lazyaccept.v2, as a TD",
    "ovmf-2022.11": "Debian 12's OVMF",
    "ovmf-2025.02": "Debian 13's OVMF",
    "ovmf-2026.08": "Debian's OVMF of 2026.08",
}
_COSTS: Final = {
    "kvm-4k": "KVM of 2026, which maps private memory in 4 KiB pages",
    "kvm-2m": "a KVM that maps private memory in 2 MiB pages",
}
NO_KEYS: Final = "off"
MICROSOFT_KEYS: Final = "microsoft"
_KEYS: Final = {
    AUTOMATIC: "those in the firmware file, else none",
    NO_KEYS: "none: every image runs",
    MICROSOFT_KEYS: "Microsoft's, as Debian's OVMF.inteltdx.ms.fd has them",
}
_PROTECTIONS: Final = {
    "none": "all memory is writable and executable",
    "ovmf": "as OVMF is built: only images of firmware volumes are protected",
    "attributes": "the same with EFI_MEMORY_ATTRIBUTE_PROTOCOL, as Debian's strictnx builds",
    "nx": "edk2 with PcdImageProtectionPolicy 3 and PcdDxeNxMemoryProtectionPolicy 0xC000000000007FD5",
    "strict": "as Project Mu: what cannot be protected, or lacks NX_COMPAT, is refused",
}
PLAIN_VM: Final = "plain VM"
NO_ACCEPT_AT_EXIT: Final = "none"
UNLESS_OBJECTED: Final = "unless-objected"
_ACCEPT_AT_EXIT: Final = {
    NO_ACCEPT_AT_EXIT: "what is left stays unaccepted",
    UNLESS_OBJECTED: "firmware accepts the rest, unless the OS objects",
}
ACCEPT_AT_EXIT_NAMES: Final = tuple(_ACCEPT_AT_EXIT)
_POLICIES: Final = {
    "eager": "all memory",
    "below-4g": "what lies below 4 GiB, as edk2 ships",
    "presize": "512M, and the sizes of kernel, command line and initrd",
    "256M": "the first 256 MiB",
    "512M": "the first 512 MiB",
    "1G": "the first 1 GiB",
}
_MOST_VCPUS: Final = 4096
"""Source: QEMU hw/i386/pc_q35.c (max_cpus, since 9.0); KVM has the same limit."""
_MOST_BYTES: Final = 1 << 52
"""The largest guest physical address space of a TD."""


@dataclass(frozen=True)
class TdOptions:
    """Options of a TD. A value may be given as text, as on the command line: ``TdOptions(memory="2G")``.

    Raises:
        UsageError: An invalid value; the message names the option and what is valid.
    """

    memory: Size = Size(
        "RAM", default="4G", least=PAGE_SIZE, most=_MOST_BYTES, samples=("512M", "1G", "2G", "4G", "8G"), sweep=True
    )
    accept: Policy = Policy(
        "accepted at boot: eager, SIZE, presize[:SIZE], below-4g",
        default="512M", form="POLICY", examples=_POLICIES, sweep=True,
    )  # fmt: skip
    on_demand: Word = Word("what accepts memory on demand", default="none", form="OPTION", names=_ON_DEMAND, sweep=True)
    loader: Word = Word("boot flow", default="direct", form="FLOW", names=_LOADERS, sweep=True)
    vcpus: Number = Number(
        "virtual CPUs", default="1", least=1, most=_MOST_VCPUS, samples=("1", "2", "4", "8"), sweep=True
    )
    gpaw: Number = Number("guest physical address width", default="48", values=(48, 52), form="48|52", sweep=True)
    profile: Word = Word("rules of an edk2 generation", default=AUTOMATIC, form="NAME", names=_PROFILES, sweep=True)
    firmware_model: Word = Word(
        "firmware whose recorded footprint it has",
        default=AUTOMATIC, form="NAME", names=_FIRMWARE_MODELS, or_file=".toml", sweep=True,
    )  # fmt: skip
    cost: Cost = Cost(
        "what accepting costs",
        default="kvm-4k", names=_COSTS, example="accept_4k=9us", sweep=True,
    )  # fmt: skip
    host_page_size: HostPage = HostPage(
        "largest page the host maps; auto: what --cost says",
        default="auto", values=(PAGE_SIZE, LARGE_PAGE_SIZE), sweep=True,
    )  # fmt: skip
    kaslr_seed: Number = Number(
        "seed of the EFI stub's choice of a place for the kernel", default="0x6A09E667", most=0xFFFFFFFF, sweep=True
    )
    max_ram_below_4g: Size = Size(
        "QEMU's machine option", default="4G", least=MIB, most=4 * GIB, samples=("1G", "2G", "4G"), sweep=True
    )
    sept_ve_disable: OnOff = OnOff("touching unaccepted memory leaves the TD instead of raising #VE", default="on")
    accept_at_exit: Word = Word(
        "firmware accepts the rest at ExitBootServices",
        default=NO_ACCEPT_AT_EXIT, form="POLICY", names=_ACCEPT_AT_EXIT, sweep=True,
    )  # fmt: skip
    os_workload: Size = Size(
        "memory that the OS uses after boot, for the modelled OS side",
        default="0", most=64 * TIB, samples=("512M", "1G", "2G"),
    )  # fmt: skip
    map: File = File(
        "start from a map: memmap, efi: mem, lsefimmap or e820 lines, TD HOB list; - is standard input",
        formerly=("import",),
    )
    firmware: File = File("OVMF.fd whose TDX metadata makes the TD", image="firmware")
    loader_file: File = File(
        "EFI file of GRUB or systemd-boot: the flow takes its sizes, version and modules", image="program"
    )
    shim: File = File(
        "shim of Secure Boot: QEMU's -shim in a direct boot, and what GRUB and systemd-boot ask", image="program"
    )
    measurement: Word = Word(
        "what firmware offers loaders for measuring", default=AUTOMATIC, form="KIND", names=_MEASUREMENT, sweep=True
    )
    secure_boot: Keys = Keys(
        "Secure Boot: the keys that firmware has; a folder of PK, KEK, db and dbx ends with /",
        default=AUTOMATIC, form="KEYS", names=_KEYS, or_file=".fd",
    )  # fmt: skip
    protect: Word = Word(
        "memory protection: code read-only, data not executable",
        default="ovmf", form="POLICY", names=_PROTECTIONS, sweep=True,
    )  # fmt: skip
    fault: Words = Words("fail on purpose, as accept:1=OPERAND_BUSY", form="SPEC", samples=("accept:1=OPERAND_BUSY",))
    td: Switch = Switch("a TD", off="a plain VM: nothing is ever unaccepted", default="on")

    def changed(self, **values: object) -> TdOptions:
        """The same options but for ``values``; only those are read and checked, the others were.

        Raises:
            UsageError: An invalid value.
        """
        twin = object.__new__(TdOptions)
        twin.__dict__.update(self.__dict__)
        for name, value in values.items():
            OPTIONS[name].__set__(twin, value)
        twin.__post_init__()
        return twin

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if isinstance(other, TdOptions) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(map(self.__dict__.__getitem__, OPTIONS)))

    def __post_init__(self) -> None:
        if self.accept_at_exit != UNLESS_OBJECTED:
            return
        from tdvfsh.dxe.profile import UPSTREAM, profile_named

        profile = UPSTREAM if self.profile == AUTOMATIC else profile_named(self.profile)
        if not profile.before_exit_boot_services:
            raise UsageError(
                f"--accept-at-exit {UNLESS_OBJECTED}: profile {self.profile} has no BeforeExitBootServices event"
            )

    @property
    def measures_with(self) -> str:
        """What ``measurement`` comes to: ``none``, ``cc`` or ``tpm``."""
        if self.measurement == AUTOMATIC:
            return "cc" if self.td else NO_MEASUREMENT
        return self.measurement

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
            "loader_file": self.loader_file,
            "shim": self.shim,
            "measurement": self.measures_with,
            "firmware_model": self.firmware_model,
            "td": self.td,
            "firmware": self.firmware,
            "map": self.map,
            "cost": list(self.cost),
            "host_page_size": self.host_page_size or AUTOMATIC,
            "sept_ve_disable": self.td and self.sept_ve_disable,
            "accept_at_exit": self.accept_at_exit,
            "protect": self.protect,
            "faults": list(self.fault),
        }


OPTIONS: Final[dict[str, Option[Any, Any]]] = {
    name: option for name, option in vars(TdOptions).items() if isinstance(option, Option)
}
"""The table: every option by name, in the order of help."""
LATE: Final = ("kaslr_seed", "loader", "on_demand")
"""Options on which, but for the stage at which a loader begins, nothing before the boot loader depends."""

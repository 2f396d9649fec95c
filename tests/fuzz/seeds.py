"""Inputs to begin from: the recordings, and small files made in the forms that real tools write."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tdvfsh.images.make import make_kernel
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.report.trace_file import trace_of_machine
from tdvfsh.trace.file import trace_file_lines
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tests.engine.introspect.test_grub_modules import module, section
from tests.formats.archives import PACKERS, bootconfig, cpio
from tests.formats.dxe_log import IMAGES
from tests.formats.pdb_builder import build_pdb, public, static
from tests.formats.pe_builder import Section, build_pe
from tests.formats.tcg.made_log import LOG, SHA384, event, spec_id
from tests.formats.test_tdvf import firmware
from tests.images.packages import deb_of

RECORDINGS = IMAGES.parent.parent
_SMALL = 1 << 14
_FEW_LINES = 3000


@cache
def images() -> list[bytes]:
    """The recorded PE images, and one with a CodeView entry, certificates and relocations."""
    debug = Section(
        b".dbg", 0x1000, 0x1000, 0x400, 0x200, bytes(12) + bytes([2, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 5])
    )
    extra = [
        build_pe((debug,), {4: (0x600, 0x80), 5: (0x1100, 0x40), 6: (0x1000, 28)}),
        build_pe((debug, debug._replace(virtual_address=0x2000)), {6: (0x2000, 56)}, pe32=True, machine=0x14C),
    ]
    return [path.read_bytes() for path in sorted(IMAGES.iterdir()) if path.stat().st_size < _SMALL] + extra


@cache
def kernels() -> list[bytes]:
    """Made kernels."""
    with TemporaryDirectory() as folder:
        made = []
        for number, output_len in enumerate((None, 0x200000)):
            path = Path(folder, str(number))
            make_kernel(path, 0x8000, 0x900000, output_len=output_len)
            made.append(path.read_bytes())
    return made


@cache
def archives() -> list[bytes]:
    """Archives with and without members."""
    return [cpio(), cpio(a=b"hello"), cpio(a=b"hello" * 9, b=b"", c=bytes(70)), cpio(a=b"x")[:-30]]


@cache
def streams() -> list[bytes]:
    """One stream of each compression, of a little text and of zeros."""
    return [pack(data) for pack in PACKERS.values() for data in (b"hello" * 50, bytes(3000))]


@cache
def initrds() -> list[bytes]:
    """Archives, packed ones, both in a row, and a boot configuration."""
    early = cpio(early=b"microcode" * 5)
    packed = [pack(cpio(a=b"hello" * 20)) for pack in PACKERS.values()]
    return [*archives(), *packed, *(early + bytes(12) + one for one in packed), early + bootconfig(b"a=b\n")]


@cache
def firmwares() -> list[bytes]:
    """Firmware with TDX metadata, found in either way; the end of it, where all of it is."""
    return [firmware()[-0x2000:], firmware(legacy=True)[-0x2000:], firmware(), firmware(legacy=True)]


@cache
def event_logs() -> list[bytes]:
    """Event logs, one in an area that it does not fill, one with two digests an event."""
    return [LOG, LOG + b"\xff" * 100, spec_id(((0x000B, 32), (SHA384, 48))) + event(1, 4, bytes(4))[:8]]


@cache
def maps() -> list[bytes]:
    """The beginnings of recorded memory maps."""
    paths = [
        *(RECORDINGS / "memmap").iterdir(),
        *(RECORDINGS / "maps").glob("memmap*"),
        *(RECORDINGS / "boot").glob("*.txt"),
    ]
    found = [path.read_bytes()[:_FEW_LINES] for path in sorted(paths)]
    return [*found, b"BIOS-e820: [mem 0x0000000000000000-0x000000000009ffff] usable\n" * 2]


@cache
def scripts() -> list[bytes]:
    """The recorded scripts."""
    return [path.read_bytes()[:_FEW_LINES] for path in sorted((RECORDINGS / "scripts").rglob("*.nsh"))]


@cache
def lines() -> list[bytes]:
    """Each line of the recorded scripts once."""
    return sorted({line.strip() for text in scripts() for line in text.splitlines() if line.strip()})


@cache
def device_paths() -> list[bytes]:
    """Nodes in binary, and paths as text."""
    guid = "8BE4DF61-93CA-11D2-AA0D-00E098032B8C"
    return [
        bytes([1, 1, 2, 3]),
        bytes([2, 1, 0xD0, 0x41, 3, 0x0A, 0, 0, 0, 0]),
        bytes([3, 18, *bytes(6)]),
        bytes([4, 1, *range(38)]),
        bytes([4, 4]) + "\\EFI\\BOOT\\BOOTX64.EFI\0".encode("utf-16-le"),
        b"PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x0,0xFFFF,0x0)/\\EFI\\a.efi",
        f"VenHw({guid})/VenMedia({guid})/MemoryMapped(0xB,0x0,0xFFF)/Path(4,9,00ff)".encode(),
    ]


@cache
def transcripts() -> list[bytes]:
    """Sessions with every kind of step."""
    head = "# tdvfsh transcript 1\n# version: 0.1.0\n# options: {}\n# fs0: .\n"
    return [
        (head + 'FS0:\\> echo a\na\nFS0:\\w\\> rm *\n? "y"\nShell> ver\n\\Shell> x\nb\n\\ no newline\n').encode(),
        (head + '= run ["s.nsh", "a b"]\n< @echo -off\n< ls\nout\n= input ["-"]\n< echo\n').encode(),
    ]


@cache
def specs() -> list[bytes]:
    """Specs with every kind of table."""
    made = '[[made]]\nname = "a"\nkernel_size = "12M"\ninit_size = ["56M", "60M"]\ninitrd_size = ["40M"]\n'
    grid = '[[grid]]\nmemory = ["1G", "2G"]\naccept = [{ from = "64M", to = "128M", step = "32M" }, "below-4g"]\n'
    return [
        (made + grid).encode(),
        (made + grid + 'vcpus = [1, 4]\nloader = ["direct", "grub2.12"]\nimages = ["a"]\n').encode(),
        ('[[image]]\nkernel = "/proc/self/exe"\ninitrd = "1M"\ncmdline = "quiet"\n' + grid).encode(),
    ]


@cache
def traces() -> list[bytes]:
    """The journal of a new machine, and of one with some calls."""
    machine = Machine(TdOptions())
    new = "\n".join(trace_file_lines(trace_of_machine(machine)))
    machine.services.allocate_pages(EfiAllocateType.AllocateAnyPages, EfiMemoryType.EfiLoaderData, 3)
    machine.services.allocate_pool(EfiMemoryType.EfiBootServicesData, 100)
    return [new.encode(), "\n".join(trace_file_lines(trace_of_machine(machine))).encode()]


@cache
def accesses() -> list[bytes]:
    """Accesses to fw_cfg: items read byte by byte, and a DMA transfer whose control structure lies at 0x40."""
    select_and_read = b"\x80\x19\0\0" + b"\x01\0\0\0" * 30
    transfer = struct.pack(">IIQ", 0x0019000A, 64, 0x1000)
    dma = b"\x84\0\0\0" + b"\x88\0\0\x40" + bytes(56) + transfer
    return [select_and_read, dma, dma + select_and_read]


@cache
def names() -> list[bytes]:
    """Names of files, long, short and alike."""
    text = "a.txt\0A.TXT\0EFI\\BOOT\\BOOTX64.EFI\0a long name with blanks.text\0a long name with more.text\0é\0.x"
    return [text.encode("utf-16-le"), "\0".join(f"name number {n}" for n in range(30)).encode("utf-16-le")]


@cache
def packages() -> list[bytes]:
    """Small packages, packed in each way."""
    files = {"boot/vmlinuz-1": bytes(600), "boot/config": b"y"}
    return [deb_of(files, suffix=suffix) for suffix in ("", ".gz", ".xz", ".zst")]


@cache
def databases() -> list[bytes]:
    """Program databases, small and of several blocks a stream."""
    return [build_pdb(public("main", 1, 0), static("part", 1, 8)), build_pdb(public("a_longer_name", 2, 64) * 60)]


@cache
def module_sections() -> list[bytes]:
    """GRUB's modules, loaded and not."""
    return [section(module("linux"), module("later", loaded=False)), section()]


@cache
def anything() -> list[bytes]:
    """A few of each."""
    groups = (images()[:6], kernels(), archives(), streams(), initrds()[:6], firmwares()[:2])
    return [one for group in groups for one in group]

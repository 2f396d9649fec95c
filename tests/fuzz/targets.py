"""What is fuzzed: a function of bytes for each parser. It may refuse its input; whatever else it raises is a find."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from tdvfsh.engine.devices.fw_cfg import FwCfg
from tdvfsh.engine.introspect.grub_modules import modules_in
from tdvfsh.engine.storage.fat import FatDisk
from tdvfsh.errors import TdvfshError, UsageError
from tdvfsh.formats.compression import CODECS, UnpackLimits, codec_at, measure, unpack_head
from tdvfsh.formats.cpio import cpio_end, cpio_entries, is_cpio
from tdvfsh.formats.deb import iter_deb_members
from tdvfsh.formats.firmware_volume import firmware_files, security_core
from tdvfsh.formats.initrd import parse_initrd
from tdvfsh.formats.inspect import inspect_source
from tdvfsh.formats.linux import parse_bzimage
from tdvfsh.formats.mapped import ByteSource
from tdvfsh.formats.maps.log_text import decode_text as decode_map
from tdvfsh.formats.maps.memory_maps import parse_efi_lines, parse_memmap, parse_memmap_sfo, parse_memory_map
from tdvfsh.formats.pe.load import load_pe
from tdvfsh.formats.pe.parse import PeImage, PeRejection, parse_pe
from tdvfsh.formats.pe.relocate import relocate_pe
from tdvfsh.formats.pe.uki import parse_uki
from tdvfsh.formats.symbols.pdb import ProgramDatabase
from tdvfsh.formats.tcg.event_log import parse_event_log
from tdvfsh.formats.tcg.event_words import event_words
from tdvfsh.formats.tcg.registers import after_extensions, extensions_of
from tdvfsh.formats.tdvf import guided_table, parse_tdvf
from tdvfsh.script.expansion import (
    LineTooLong,
    drop_unknown_variables,
    substitute_arguments,
    substitute_variables,
)
from tdvfsh.script.lexer import find_pipe, lex, split_words
from tdvfsh.script.lint import lint_script
from tdvfsh.script.numbers import parse_number
from tdvfsh.script.program import clean_line, decode_text, label_of, script_lines
from tdvfsh.script.redirection import RedirectionError, split_redirection
from tdvfsh.session.transcript import parse_transcript
from tdvfsh.shell.drives.memoryfiles import MemoryFileSystem
from tdvfsh.sweep.spec import read_spec
from tdvfsh.trace.file import read_trace_file, trace_file_lines
from tdvfsh.uefi.device_path_bytes import parse_node
from tdvfsh.uefi.device_path_text import device_paths_from_text
from tdvfsh.uefi.filesystem import FileSystemError
from tdvfsh.units import MIB, parse_size
from tests.fuzz import certificates as signed
from tests.fuzz import disks, seeds
from tests.fuzz.naive_pe import judge_naively

T = TypeVar("T")
LIMITS: Final = UnpackLimits(absolute=16 * MIB)
_LOAD_ADDRESS: Final = 0x40000000
_TEXT_LIMIT: Final = 4000
_MEMBERS: Final = 50


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to fuzz.

    Attributes:
        run: Called with the input.
        seeds: Returns inputs to begin from.
        tokens: Byte strings that mean something to it.
        mutator: ``bytes`` for any bytes, ``pe`` for one that knows the fields of a PE image.
        share: How many of a million runs over all targets it gets, in thousands.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    tokens: tuple[bytes, ...] = ()
    mutator: str = "bytes"
    share: int = field(default=50)


def pe(data: bytes) -> None:
    """Everything that LoadImage does, and the verdict held against the rules written out naively."""
    verdict = parse_pe(data)
    naive = judge_naively(data)
    if isinstance(verdict, PeRejection):
        assert verdict.why
        assert verdict.status.is_error
        assert naive is None or naive.image_error == verdict.image_error, (naive, verdict)
        return
    assert naive is None or (naive.image_error is None and naive.image_size == verdict.image_size), (naive, verdict)
    _load(verdict, data)


def _load(image: PeImage, data: bytes) -> None:
    address = image.image_base if image.relocations_stripped else _LOAD_ADDRESS
    load = load_pe(image, data, address)
    if not isinstance(load, PeRejection):
        assert all(offset >= 0 and offset + size <= len(data) for _, offset, size in load.copies)
        relocate_pe(image, data, address - image.image_base)


def bzimage(data: bytes) -> None:
    """The setup header and what follows from it."""
    kernel = _refusable(lambda: parse_bzimage(data, "kernel"))
    if kernel is not None:
        assert kernel.setup_size <= len(data)
        assert kernel.payload_length <= len(data)


def cpio(data: bytes) -> None:
    """Members one by one, and the end of an archive."""
    source = ByteSource(data, "cpio")
    if not is_cpio(data[:8]):
        return

    def walk() -> None:
        for number, entry in enumerate(cpio_entries(source, 0)):
            assert number < len(data)
            assert str(entry.name).isprintable()

    _refusable(walk)
    end = _refusable(lambda: cpio_end(source, 0))
    if end is not None:
        assert 0 < end[0] <= len(data)


def compression(data: bytes) -> None:
    """Streams of the compression that their first bytes tell."""
    source = ByteSource(data, "stream")
    codec = codec_at(source, 0)
    if codec is None:
        return
    head = _refusable(lambda: unpack_head(source, 0, codec, 100))
    assert head is None or len(head) <= 100
    measured = _refusable(lambda: measure(source, 0, codec, LIMITS, head_size=100))
    if measured is not None:
        end, size, first = measured
        assert 0 < end <= len(data)
        assert size <= 16 * MIB
        assert head == first


def initrd(data: bytes) -> None:
    """Segments of any kind in a row."""
    found = _refusable(lambda: parse_initrd(data, "initrd", limits=LIMITS))
    if found is not None:
        ends = [segment.offset + segment.size for segment in found.segments]
        assert ends == sorted(ends)
        assert ends[-1] <= len(data)


def tdvf(data: bytes) -> None:
    """TDX metadata, the GUIDed table and firmware volumes."""
    metadata = _refusable(lambda: parse_tdvf(data, "firmware"))
    assert metadata is None or metadata.sections
    _refusable(lambda: guided_table(data, "firmware"))
    files = _refusable(lambda: firmware_files(data, "firmware"))
    assert files is None or len(files) <= len(data)
    _refusable(lambda: security_core(data, "firmware"))


def event_log(data: bytes) -> None:
    """Event logs, what their events say, and the registers that they lead to."""
    log = _refusable(lambda: parse_event_log(data, "log"))
    if log is None:
        return
    assert log.size <= len(data)
    for event in log.events:
        assert event_words(event).isprintable()
    registers = _refusable(lambda: after_extensions(extension for _, extension in extensions_of(log)))
    assert registers is None or all(len(register) == 48 for register in registers)


def memory_map(data: bytes) -> None:
    """Texts of ``memmap``, ``efi: mem`` and e820 lines, and TD HOB lists."""
    _refusable(lambda: parse_memory_map(data, "map"))
    text = decode_map(data)
    for parse in (parse_memmap, parse_memmap_sfo, parse_efi_lines):
        found = _refusable(lambda parse=parse: parse(text, "map"))  # type: ignore[misc]
        assert found is None or all(entry.physical_end <= 1 << 64 for entry in found)


def lexer(data: bytes) -> None:
    """Words of a line."""
    text = _text(data)
    end = 0
    for token in lex(text):
        assert text[token.start : token.end] == token.raw
        assert token.start >= end
        assert len(token.text) <= len(token.raw)
        end = token.end
    pipe = find_pipe(text)
    assert pipe == -1 or text[pipe] == "|"
    words = split_words(text)
    assert words is None or len(words) <= len(text)
    parse_number(text)
    _refusable(lambda: parse_size(text))


def expansion(data: bytes) -> None:
    """Arguments, variables and redirections of a line."""
    name, _, rest = _text(data).partition(" ")
    try:
        line = substitute_arguments(rest, ["script.nsh", name, None, rest[:20]])
        line = substitute_variables(line, [("a", name[:10]), ("path", "FS0:\\%a%")], [("%i", "x")])
    except LineTooLong:
        return
    drop_unknown_variables(line)
    try:
        split_redirection(line)
    except RedirectionError:
        return


def script(data: bytes) -> None:
    """A whole script, decoded and checked without being run."""
    text = decode_text(data[:_TEXT_LIMIT])
    lines = script_lines(text)
    assert len(lines) <= text.count("\n") + text.count("\r") + 1
    for line in lines[:100]:
        label_of(clean_line(str(line)))
    for finding in lint_script(text, {"echo": None, "set": None, "ls": lambda word: word == "-b"}):
        assert finding.line >= 1
        assert finding.column >= 1


def device_path(data: bytes) -> None:
    """Nodes in binary and paths as text; what is read packs, and reads the same again."""
    if len(data) >= 2:
        node = parse_node(data[0], data[1], data[2:200])
        assert len(node.pack()) >= 4
    for path in device_paths_from_text(_text(data)[:300]):
        assert path.pack().endswith(b"\x7f\xff\x04\x00")


def transcript(data: bytes) -> None:
    """A transcript; what is read is written so that it reads the same again."""
    text = data.decode("utf-8", "surrogateescape")
    found = _refusable(lambda: parse_transcript(text, "a.tdt"))
    if found is not None:
        again = parse_transcript(found.text(), "a.tdt")
        assert again.steps == found.steps


def spec(data: bytes) -> None:
    """The spec of a sweep, of which no image is there."""
    with _as_file(data) as path:
        found = _refusable(lambda: read_spec(path, 1000, fetch=_not_fetched))
        assert found is None or sum(len(grid.axes) for grid in found.grids) < 1000


def trace(data: bytes) -> None:
    """A journal; what is read is written so that it reads the same again."""
    with _as_file(data) as path:
        found = _refusable(lambda: read_trace_file(path))
    if found is not None:
        lines = list(trace_file_lines(found))
        with _as_file("\n".join(lines).encode()) as path:
            assert list(trace_file_lines(read_trace_file(path))) == lines


class _Memory:
    """64 KiB that a device reaches."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data.ljust(1 << 16, b"\0")[: 1 << 16])

    def read(self, address: int, size: int) -> bytes | None:
        return bytes(self.data[address : address + size]) if address + size <= len(self.data) else None

    def write(self, address: int, data: bytes | bytearray | memoryview) -> bool:
        if address + len(data) > len(self.data):
            return False
        self.data[address : address + len(data)] = data
        return True


def fw_cfg(data: bytes) -> None:
    """Accesses to the configuration device, four bytes each, its control structures in the input itself."""
    memory, missing = _Memory(data), Counter[str]()
    device = FwCfg({0x19: b"directory"}, {"etc/a": bytes(100), "opt/b": b"x" * 5000}, memory, missing)
    for at in range(0, min(len(data) - 3, 400), 4):
        offset, value = data[at] % 12, int.from_bytes(data[at + 1 : at + 4], "little")
        size = (1, 2, 4)[data[at] >> 4 & 1] if offset < 4 else 4
        if data[at] & 0x80:
            device.write(offset, size, value & (1 << 8 * size) - 1)
        else:
            assert 0 <= device.read(offset, size) < 1 << 8 * size
    assert len(memory.data) == 1 << 16


def fat(data: bytes) -> None:
    """A disk of files with any names: its directories name each once, and every sector reads."""
    volume = MemoryFileSystem("FUZZ")
    names = [name for name in data[:800].decode("utf-16-le", "replace").split("\0")[:40] if name]
    for name in names:
        parts = [part for part in name.replace("/", "\\").split("\\")[:6] if part not in ("", ".", "..")]
        with suppress(FileSystemError):
            if parts:
                volume.open_writer(parts, append=False).write(data[:50])
    disk = FatDisk(volume)
    try:
        size = disk.disk_size
    except UsageError:
        return
    assert size % 512 == 0
    for at in (0, 512, 32 * 512, size // 2 // 512 * 512, size - 512):
        assert len(disk.read_disk(at, 512)) == 512


def deb(data: bytes) -> None:
    """A package's members."""
    with _as_file(data) as path:

        def walk() -> None:
            for count, member in enumerate(iter_deb_members(path)):
                member.read(100)
                if count > _MEMBERS:
                    return

        _refusable(walk)


def inspect(data: bytes) -> None:
    """A file of unknown kind, and a unified kernel image."""
    _refusable(lambda: inspect_source(ByteSource(data, "file"), limits=LIMITS))
    _refusable(lambda: parse_uki(data, "uki"))


def pdb(data: bytes) -> None:
    """A program database's symbols."""
    _refusable(lambda: ProgramDatabase(ByteSource(data, "file")).symbols())


def grub_modules(data: bytes) -> None:
    """The modules in a GRUB's memory."""
    for module in modules_in(data)[0]:
        module.place(module.ranges[0][0])


@contextmanager
def _as_file(data: bytes) -> Iterator[Path]:
    """A file that is on no disk."""
    number = os.memfd_create("fuzz")
    try:
        os.write(number, data)
        yield Path(f"/proc/self/fd/{number}")
    finally:
        os.close(number)


def _not_fetched(entry: object) -> Any:
    raise UsageError("not fetched")


def _refusable(call: Callable[[], T]) -> T | None:
    """The call's result; None where it refused its input in one line."""
    refused: TdvfshError
    try:
        return call()
    except TdvfshError as error:
        refused = error
    assert "\n" not in str(refused), repr(refused)
    return None


def _text(data: bytes) -> str:
    return data[:_TEXT_LIMIT].decode("utf-8", "replace")


_WORDS: Final = (
    b"if", b"then", b"else", b"endif", b"for", b"in", b"run", b"(1 10 2)", b"endfor", b"goto", b":label", b"shift",
    b"%1", b"%9", b"%a%", b"%lasterror%", b"^", b'"', b"|", b">", b">>", b">v", b"1>a", b"2>", b"<", b"eq", b"==",
    b"exist", b"not", b"and", b"or", b"/s", b"/i", b"#", b"\r\n", b"\xff\xfe", b" ", b"echo", b"set -v a b",
)  # fmt: skip
_MAGICS: Final = tuple(codec.magic for codec in CODECS)

TARGETS: Final[dict[str, Target]] = {
    "pe": Target(pe, seeds.images, mutator="pe", share=110),
    "bzimage": Target(bzimage, seeds.kernels, (b"HdrS", b"\x55\xaa", *_MAGICS), share=60),
    "cpio": Target(cpio, seeds.archives, (b"070701", b"070702", b"FFFFFFFF", b"TRAILER!!!\0"), share=110),
    "compression": Target(compression, seeds.streams, _MAGICS, share=70),
    "initrd": Target(initrd, seeds.initrds, (*_MAGICS, b"#BOOTCONFIG\n", b"070701"), share=60),
    "tdvf": Target(tdvf, seeds.firmwares, (b"TDVF", b"_FVH"), share=50),
    "event_log": Target(
        event_log, seeds.event_logs, (b"Spec ID Event03\0", b"\x0c\0\x30\0", b"\x01\0\0\x80"), share=30
    ),
    "memory_map": Target(memory_map, seeds.maps, (b"efi: mem", b"BIOS-e820:", b"Available", b"0x", b"-"), share=40),
    "lexer": Target(lexer, seeds.lines, _WORDS, share=170),
    "expansion": Target(expansion, seeds.lines, _WORDS, share=120),
    "script": Target(script, seeds.scripts, _WORDS, share=20),
    "device_path": Target(device_path, seeds.device_paths, (b"Pci(", b"VenHw(", b"Path(", b")", b"/"), share=130),
    "transcript": Target(
        transcript, seeds.transcripts, (b"FS0:\\> ", b"= run [", b"< ", b"? ", b"\\", b"# "), share=60
    ),
    "spec": Target(spec, seeds.specs, (b"[[grid]]", b"[[made]]", b"[[image]]", b"memory", b"from", b"="), share=20),
    "trace": Target(trace, seeds.traces, (b"null", b'"', b"{", b"}", b"-1", b"[", b"true", b"1e9"), share=20),
    "fw_cfg": Target(fw_cfg, seeds.accesses, (b"\0\0\0\x02", b"\0\0\0\x08", b"\x88\0\0\0"), share=60),
    "fat": Target(fat, seeds.names, ("\\".encode("utf-16-le"), "A~1".encode("utf-16-le"), b"\0\0"), share=10),
    "deb": Target(deb, seeds.packages, (b"!<arch>\n", b"debian-binary", b"data.tar.xz", b"`\n"), share=10),
    "virtqueue": Target(disks.virtqueue, disks.virtqueues, (b"\2\0", b"\4\0", b"\xff\xff\xff\xff"), share=40),
    "qcow2": Target(disks.qcow2_image, disks.qcow2_images, (b"QFI\xfb", b"\x80\0\0\0\0\0\0\0"), share=10),
    "pdb": Target(pdb, seeds.databases, (b"\x0e\x11", b"\x0f\x11", b"\xff\xff", b"\0\x02\0\0"), share=30),
    "grub_modules": Target(grub_modules, seeds.module_sections, (b"mimg", b"\x7fELF\x02\x01"), share=30),
    "certificates": Target(
        signed.certificates, signed.signatures, (b"\x30\x82", b"\x30\x80", b"\xff\xff", b"\x06\x09"), share=20
    ),
    "inspect": Target(inspect, seeds.anything, (b"MZ", b"PE\0\0", b"HdrS", *_MAGICS), share=20),
}

"""Files that claim what they do not have, are not regular files, change, or unpack without end."""

from __future__ import annotations

import gzip
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard

from tdvfsh.boots.modelled_boot import boot
from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.errors import FormatError, UsageError
from tdvfsh.formats.compression import NO_LIMITS, UnpackLimits
from tdvfsh.formats.initrd import parse_initrd
from tdvfsh.formats.inspect import inspect_file
from tdvfsh.formats.mapped import copy_of, open_mapped
from tdvfsh.formats.pe.parse import PeImage, parse_pe
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.machine.options import TdOptions
from tests.formats.archives import TRAILER, cpio, member
from tests.formats.pe_builder import Section, build_pe
from tests.hostile.program import at_terminal, refused, run


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    path = tmp_path / "kernel"
    make_kernel(path, 0x10000, 0x900000, output_len=0x200000)
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


# ---- bombs ------------------------------------------------------------------------------------------------------


def test_a_bomb_is_refused_by_its_ratio_and_by_its_size_and_unpacked_where_the_limits_are_lifted() -> None:
    bomb = gzip.compress(cpio(zeros=bytes(24 << 20)), 9)
    with pytest.raises(FormatError, match="more than 500 times its size, the limit"):
        parse_initrd(bomb, "bomb", limits=UnpackLimits(ratio=500, ratio_from=1 << 20))
    with pytest.raises(FormatError, match="more than 8 MiB, the limit"):
        parse_initrd(bomb, "bomb", limits=UnpackLimits(absolute=8 << 20, ratio=None))
    assert parse_initrd(bomb, "bomb", limits=NO_LIMITS).unpacked_size > 24 << 20


def test_a_bomb_of_a_gibibyte_and_more_is_refused_by_the_program_itself_in_little_memory(
    tmp_path: Path, kernel: Path
) -> None:
    import zstandard

    packer = zstandard.ZstdCompressor(level=1).compressobj()
    head = member(b"zeros", bytes(0))
    size = 0x60000000
    head = head[:54] + b"%08X" % size + head[62:]
    zeros = bytes(1 << 24)
    data = (
        packer.compress(head) + b"".join(packer.compress(zeros) for _ in range(size >> 24)) + packer.compress(TRAILER)
    )
    bomb = written(tmp_path / "bomb", data + packer.flush())
    assert bomb.stat().st_size < size // 1000
    line = refused(run("boot", str(kernel), "--initrd", str(bomb), memory=768 << 20))
    assert "times its size, the limit" in line
    line = refused(run("inspect", str(bomb), "--unpack-limit", "64M", memory=768 << 20))
    assert "more than 64 MiB, the limit" in line
    lifted = run("inspect", str(bomb), "--unpack-limit", "none", memory=768 << 20)
    assert (lifted.returncode, lifted.stderr) == (0, "")
    assert "many" in refused(run("inspect", str(bomb), "--unpack-limit", "many"))


def test_bombs_inside_bombs_are_measured_once(tmp_path: Path) -> None:
    inner = gzip.compress(cpio(zeros=bytes(32 << 20)))
    outer = written(tmp_path / "outer", gzip.compress(cpio(inner=inner)))
    facts = inspect_file(outer)
    assert facts["formats"] == ["initrd"]


# ---- headers ----------------------------------------------------------------------------------------------------


def test_sections_of_4_gib_in_a_file_of_400_bytes(tmp_path: Path) -> None:
    sections = tuple(Section(b".big", 0x1000, 0xFFFFF000, 0, 0) for _ in range(2))
    image = build_pe(sections, directory_count=2, size=400, size_of_headers=0x180, size_of_image=0xFFFFFFFF)
    assert len(image) == 400
    assert isinstance(parse_pe(image), PeImage)
    path = str(written(tmp_path / "big.efi", image))
    done = run("boot", path, memory=512 << 20)
    assert done.returncode == 1
    assert "internal error" not in done.stderr
    assert run("inspect", path, memory=512 << 20).returncode == 0


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"e_lfanew": 0xFFFFFFF0}, id="PE header at the end of the address space"),
        pytest.param({"e_lfanew": 0}, id="PE header over the DOS header"),
        pytest.param({"size_of_optional_header": 0xFFFF}, id="optional header over everything"),
        pytest.param({"number_of_sections": 0xFFFF}, id="more sections than the file can hold"),
        pytest.param({"size_of_headers": 0xFFFFFFFF, "size_of_image": 0xFFFFFFFF}, id="headers without end"),
        pytest.param({"number_of_rva_and_sizes": 0xFFFFFFFF}, id="directories without end"),
        pytest.param({"section_alignment": 0x80000000, "size_of_image": 0xFFFFFFFF}, id="alignment of 2 GiB"),
        pytest.param({"image_base": 0xFFFFFFFFFFFFF000, "characteristics": 0x23}, id="base that wraps"),
        pytest.param({"address_of_entry_point": 0xFFFFFFFF}, id="entry point outside"),
    ],
)
def test_headers_that_overlap_or_wrap_end_in_an_answer(tmp_path: Path, fields: dict[str, int]) -> None:
    make: Callable[..., bytes] = build_pe
    path = str(written(tmp_path / "a.efi", make(size=0x1000, **fields)))
    for words in (("boot", path), ("inspect", path)):
        done = run(*words, memory=512 << 20)
        assert done.returncode in (0, 1)
        assert "internal error" not in done.stderr
        assert done.stderr.count("\n") <= 1


def test_sections_that_overlap_each_other_and_wrap_are_judged_by_firmwares_rules() -> None:
    wrapping = Section(b"w", 0xFFFFF000, 0x2000, 0x400, 0x200)
    over = Section(b"o", 0x1000, 0x2000, 0x400, 0x200)
    assert isinstance(parse_pe(build_pe((over, over._replace(virtual_address=0x1800), wrapping))), PeImage)


@pytest.mark.parametrize("offset", [0x1F1, 0x211, 0x214, 0x22C, 0x230, 0x238, 0x248, 0x24C, 0x258, 0x260, 0x264])
@pytest.mark.parametrize("value", [0, 0xFFFFFFFF])
def test_a_kernel_header_with_a_field_at_its_limit_ends_in_an_answer(kernel: Path, offset: int, value: int) -> None:
    data = bytearray(kernel.read_bytes())
    data[offset : offset + 4] = struct.pack("<I", value)
    kernel.write_bytes(data)
    with suppress(FormatError, UsageError), open_boot_files(kernel, (), "nokaslr") as opened:
        assert boot(TdOptions(), opened.boot).status.name.startswith("EFI_")


# ---- archives ---------------------------------------------------------------------------------------------------


def test_a_name_of_4_gib_and_a_file_of_4_gib_are_bounded_by_the_archive() -> None:
    for field in (54, 94):  # c_filesize, c_namesize
        head = member(b"a")
        head = head[:field] + b"FFFFFFFF" + head[field + 8 :]
        with pytest.raises(FormatError, match="past the end"):
            parse_initrd(head + TRAILER, "initrd")


def test_names_without_number_are_walked_in_little_memory_and_not_even_looked_at_where_they_are_packed(
    tmp_path: Path,
) -> None:
    names = member(b"some/name") * 200_000
    plain = written(tmp_path / "plain", names)
    packed = written(tmp_path / "packed", zstandard.compress(names * 20))
    assert packed.stat().st_size < 1 << 17
    for path, unpacked in ((plain, len(names)), (packed, 20 * len(names))):
        done = run("inspect", str(path), "--json", memory=512 << 20)
        assert done.returncode == 0, done.stderr
        assert f'"unpacked_size": {unpacked}' in done.stdout


def test_an_archive_that_claims_links_without_number_is_one_member() -> None:
    head = member(b"a", b"x")
    claims = head[:38] + b"FFFFFFFF" + head[46:]  # c_nlink
    assert parse_initrd(claims + TRAILER, "initrd").segments[0].size == len(claims + TRAILER)


def test_symlinks_and_names_that_lead_out_are_never_written_anywhere(tmp_path: Path, kernel: Path) -> None:
    target = tmp_path / "victim"
    link = member(b"link", str(target).encode())
    link = link[:14] + b"%08X" % 0o120777 + link[22:]
    names = (
        b"../victim",
        b"../../../../" + str(target).encode(),
        str(target).encode(),
        b"link/victim",
        b"\\..\\victim",
    )
    folder = tmp_path / "inside"
    folder.mkdir()
    initrd = written(folder / "initrd", link + b"".join(member(name, b"evil") for name in names) + TRAILER)
    before = sorted(tmp_path.rglob("*"))
    for words in (("inspect", str(initrd)), ("boot", str(kernel), "--initrd", str(initrd))):
        assert run(*words, cwd=folder).returncode == 0
    assert sorted(tmp_path.rglob("*")) == before
    assert not target.exists()


def test_a_link_out_of_a_drive_leads_nowhere(tmp_path: Path) -> None:
    secret = written(tmp_path / "secret", b"secret")
    folder = tmp_path / "fs0"
    folder.mkdir()
    (folder / "link").symlink_to(secret)
    (folder / "up").symlink_to("..")
    lines = (
        "type link", "type up\\secret", "type ..\\secret", "echo evil > link", "echo evil > up\\new", "rm -q link",
        "rm -q up\\secret",
    )  # fmt: skip
    done = run("--fs0", str(folder), "--fs0-write", stdin="\n".join(lines))
    assert "secret\n" not in done.stdout
    assert secret.read_bytes() == b"secret"
    assert not (tmp_path / "new").exists()


def test_a_hundred_thousand_segments_are_listed_in_little_memory(tmp_path: Path, kernel: Path) -> None:
    many = written(tmp_path / "many", member(b"TRAILER!!!") * 100_000)
    assert run("boot", str(kernel), "--initrd", str(many), "--cmdline", "nokaslr", memory=512 << 20).returncode == 0


# ---- what is not a file --------------------------------------------------------------------------------------------


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))


@pytest.mark.parametrize(("make", "kind"), [(_fifo, "FIFO"), (_socket, "socket"), (Path.mkdir, "folder"),
                                            (lambda path: path.symlink_to("/dev/zero"), "character device"),
                                            (lambda path: path.symlink_to(path), "symbolic links")])  # fmt: skip
@pytest.mark.parametrize(
    "words",
    [["boot", "{it}"], ["boot", "{kernel}", "--initrd", "{it}"], ["inspect", "{it}"],
     ["boot", "{kernel}", "--map", "{it}"], ["boot", "{kernel}", "--firmware", "{it}"]],
    ids=lambda words: " ".join(words),
)  # fmt: skip
def test_what_is_no_file_is_named_and_never_waited_for(
    tmp_path: Path, kernel: Path, make: Callable[[Path], None], kind: str, words: list[str]
) -> None:
    it = tmp_path / "it"
    make(it)
    line = refused(run(*(word.format(it=it, kernel=kernel) for word in words)))
    assert kind in line


@pytest.mark.parametrize(
    "words", [["run", "{it}"], ["lint", "{it}"], ["replay", "{it}"], ["sweep", "{it}"],
              ["report", "{it}", "-o", "{it}.html"]],
    ids=lambda words: words[0],
)  # fmt: skip
def test_a_fifo_is_no_script_no_session_no_sweep_and_no_journal(tmp_path: Path, words: list[str]) -> None:
    os.mkfifo(tmp_path / "it")
    refused(run(*(word.format(it=tmp_path / "it") for word in words)))


def test_special_files_in_a_drive_are_not_there(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    done = run(
        "--fs0", str(tmp_path), "-c", "ls", "-c", "type fifo", "-c", "type zero", "-c", "load fifo", "-c", "boot zero"
    )
    assert "internal error" not in done.stderr
    assert "fifo\n" not in done.stdout.split("type:")[0]


# ---- files that change ------------------------------------------------------------------------------------------


def test_guest_memory_of_a_file_that_shrank_is_an_error_and_no_signal(tmp_path: Path) -> None:
    make_kernel(tmp_path / "kernel", 0x100000, 0x900000)
    make_initrd(tmp_path / "initrd", 0x400000, None)
    with open_boot_files(tmp_path / "kernel", [tmp_path / "initrd"], "nokaslr") as opened:
        result = boot(TdOptions(), opened.boot)
        contents = result.machine.td.contents
        placed = next(entry for entry in result.placements if entry.what == "initrd" and not entry.freed)
        assert len(contents.read(placed.start, 64)) == 64
        os.truncate(tmp_path / "initrd", 16)
        with pytest.raises(FormatError, match="became shorter"):
            contents.read(placed.start + 0x10000, 64)
    with pytest.raises(FormatError, match="became shorter"):
        contents.read(placed.start + 0x10000, 64)


def test_dmem_of_a_file_that_somebody_truncated_is_one_line_and_the_shell_goes_on(tmp_path: Path) -> None:
    make_kernel(tmp_path / "kernel", 0x100000, 0x900000)
    make_initrd(tmp_path / "initrd", 0x400000, None)
    with open_boot_files(tmp_path / "kernel", [tmp_path / "initrd"], "nokaslr") as opened:
        result = boot(TdOptions(), opened.boot)
    placed = next(entry for entry in result.placements if entry.what == "initrd" and not entry.freed)
    lines = ["boot kernel -initrd initrd -cmdline nokaslr", "cp -q small initrd",
             f"dmem {placed.start + 0x10000:x} 20", "mem 0 10", "echo alive"]  # fmt: skip
    (tmp_path / "small").write_bytes(b"small")
    done = run("--fs0", str(tmp_path), "--fs0-write", stdin="\n".join(lines))
    assert done.returncode >= 0, "killed by a signal"
    assert done.stdout.endswith("alive\n")


def test_a_file_that_grows_is_read_as_long_as_it_was(tmp_path: Path) -> None:
    path = written(tmp_path / "file", bytes(100))
    with open_mapped(path) as file:
        with path.open("ab") as more:
            more.write(bytes(1 << 20))
        assert file.size == len(copy_of(file.view)) == 100


def test_a_script_that_prints_a_binary_does_not_reach_the_terminal_raw(tmp_path: Path) -> None:
    written(tmp_path / "noise.bin", bytes(range(256)) * 4)
    output = at_terminal("-c", "type noise.bin", cwd=tmp_path)
    assert b"\x1b" not in output
    assert b"\x07" not in output

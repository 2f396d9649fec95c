"""The host in place of a stub's decompressor: only where a call meets the function's whole contract."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.cli.main import main
from tdvfsh.engine.introspect.call_sites import functions_called_near
from tdvfsh.engine.introspect.fast_decompress import Shortcut
from tdvfsh.engine.runs.cpu_boot import boot_on_cpu
from tdvfsh.engine.runs.cpu_boot_result import CpuBootResult
from tdvfsh.engine.runs.verify_shortcut import BUFFER as BUFFER_BYTES
from tdvfsh.engine.runs.verify_shortcut import verify_shortcut
from tdvfsh.machine import TdOptions
from tdvfsh.units import GIB, MIB, PAGE_SIZE
from tests.engine.unpacking_stub import (
    BUFFER,
    CHUNK,
    MARK,
    OWN_ANSWER,
    STRUCTURE,
    Stub,
    contents,
    gzip_payload,
    leaves_a_mark,
    lz4_chunks,
    lz4_payload,
    with_length,
    write_kernel,
    xz_payload,
    zstd_payload,
)

INIT_SIZE = 8 * MIB
SIZE = 7 * MIB
DATA = contents(SIZE)
OPTIONS = TdOptions(memory=2 * GIB)


def booted(kernel: Path, fast: bool = True) -> CpuBootResult:
    with open_boot_files(kernel, [], "nokaslr") as opened:
        return boot_on_cpu(OPTIONS, opened.boot, fast_decompress=fast)


def shortcut_of(result: CpuBootResult) -> Shortcut:
    assert result.shortcut is not None
    return result.shortcut


def buffer_of(result: CpuBootResult) -> bytes:
    place = next(entry for entry in result.placements if entry.what == "kernel")
    return result.machine.td.contents.read(place.start, place.end - place.start)


def answers(result: CpuBootResult, count: int = 1) -> list[int]:
    """What the decompressor gave back, call by call."""
    end = buffer_of(result)[-8 * count :]
    return [int.from_bytes(end[at : at + 8], "little") for at in range(8 * (count - 1), -1, -8)]


def zstd_call(stub: Stub, packed: bytes, **changes: int) -> Stub:
    """zstd_decompress_dctx(dctx, dst, capacity, src, size), with changes to what its caller says."""
    stub.address("rdi", "rsp", STRUCTURE).load("rsi", "rsp", BUFFER)
    if "target" in changes:
        stub.address("rsi", "rsi", changes["target"])
    if "dctx" in changes:
        stub.mov("rdi", changes["dctx"])
    stub.mov("rdx", changes.get("capacity", SIZE)).payload("rcx", changes.get("source", 0))
    return stub.mov("r8", changes.get("size", len(packed) - 4)).call()


def zstd_kernel(path: Path, packed: bytes | None = None, code: str = leaves_a_mark("rsi"), **changes: int) -> Path:
    packed = zstd_payload(DATA) if packed is None else packed
    return write_kernel(path, packed, SIZE, INIT_SIZE, lambda stub: zstd_call(stub, packed, **changes).finish(code))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vmlinuz"


def test_a_call_of_zstd_s_decompressor_is_answered_by_the_host(path: Path) -> None:
    result = booted(zstd_kernel(path))
    assert buffer_of(result)[:SIZE] == DATA
    assert answers(result) == [SIZE]
    shortcut = shortcut_of(result)
    assert (shortcut.taken, shortcut.format, shortcut.function) == (True, "zstd", "zstd_decompress_dctx")
    assert (shortcut.calls, shortcut.unpacked_bytes, shortcut.why) == (1, SIZE, None)


def test_without_the_option_the_real_code_runs_and_nothing_is_said(path: Path) -> None:
    result = booted(zstd_kernel(path), fast=False)
    assert buffer_of(result)[:2] == bytes((MARK, 0))
    assert answers(result) == [OWN_ANSWER]
    assert result.shortcut is None


@pytest.mark.parametrize(
    "changes",
    [
        {"capacity": SIZE - 1},
        {"source": 1},
        {"size": 1000},
        {"size": len(zstd_payload(DATA))},
        {"target": PAGE_SIZE},
        {"dctx": 0},
        {"dctx": 1 << 40},
    ],
)
def test_a_call_that_breaks_one_term_of_the_contract_is_left_to_the_real_code(
    changes: dict[str, int], path: Path
) -> None:
    result = booted(zstd_kernel(path, None, leaves_a_mark("rsi"), **changes))
    assert buffer_of(result)[changes.get("target", 0)] == MARK
    assert DATA[:4] not in buffer_of(result)
    assert answers(result) == [OWN_ANSWER]
    shortcut = shortcut_of(result)
    assert (shortcut.taken, shortcut.function, shortcut.unpacked_bytes) == (False, None, 0)
    assert shortcut.why is not None
    assert "no call met the contract of a decompressor" in shortcut.why
    assert re.search("functions were watched, which were called [1-9] times", shortcut.why)


def test_what_is_unpacked_already_is_not_unpacked_again(path: Path) -> None:
    packed = zstd_payload(DATA)
    kernel = write_kernel(
        path,
        packed,
        SIZE,
        INIT_SIZE,
        lambda stub: zstd_call(zstd_call(stub, packed), packed).finish(leaves_a_mark("rsi")),
    )
    result = booted(kernel)
    assert answers(result, 2) == [SIZE, OWN_ANSWER]
    assert buffer_of(result)[0] == MARK
    assert (shortcut_of(result).taken, shortcut_of(result).calls) == (True, 1)


def test_a_call_that_does_not_come_from_the_image_is_left_to_the_real_code(path: Path) -> None:
    packed, place = zstd_payload(DATA), INIT_SIZE - 64

    def program(stub: Stub) -> bytes:
        stub.address("rdi", "rsp", STRUCTURE).load("rsi", "rsp", BUFFER).mov("rdx", SIZE).payload("rcx")
        stub.mov("r8", len(packed) - 4).lea("r10", "back")
        stub.mov("rax", 0xE2FF41).store("rsi", place, "rax").address("rax", "rsi", place)  # jmp r10, in the buffer
        stub.raw("50").jump("function").label("back").keep("rax")  # push rax: the function returns there
        stub.jump("end").call()  # which makes it a function, and is never reached
        return stub.finish(leaves_a_mark("rsi"))

    result = booted(write_kernel(path, packed, SIZE, INIT_SIZE, program))
    assert answers(result) == [OWN_ANSWER]
    assert not shortcut_of(result).taken


def damaged(packed: bytes) -> bytes:
    middle = len(packed) // 2
    return packed[:middle] + bytes(byte ^ 0xFF for byte in packed[middle : middle + 16]) + packed[middle + 16 :]


@pytest.mark.parametrize(
    ("packed", "why"),
    [
        (zstd_payload(DATA[:-256])[:-4] + SIZE.to_bytes(4, "little"), "where the header says"),
        (zstd_payload(DATA + DATA[:256])[:-4] + SIZE.to_bytes(4, "little"), "unpacks to more than"),
        (zstd_payload(DATA)[:-4] + with_length(bytes(8), SIZE), "where the header says"),
        (damaged(zstd_payload(DATA)), "zstd stream"),
    ],
)
def test_a_stream_that_is_not_what_the_header_says_is_left_to_the_real_code(
    packed: bytes, why: str, path: Path
) -> None:
    result = booted(zstd_kernel(path, packed))
    assert buffer_of(result)[0] == MARK
    assert answers(result) == [OWN_ANSWER]
    shortcut = shortcut_of(result)
    assert not shortcut.taken
    assert shortcut.why is not None
    assert "the host cannot unpack it" in shortcut.why
    assert why in shortcut.why


def xz_call(
    stub: Stub, packed: bytes, in_pos: int = 0, out_pos: int = 0, out_size: int = (1 << 64) - 1, in_size: int = 0
) -> Stub:
    """xz_dec_run(s, b), and both positions afterwards."""
    stub.payload("rax").store("rsp", STRUCTURE, "rax").load("rax", "rsp", BUFFER).store("rsp", STRUCTURE + 24, "rax")
    for offset, value in ((8, in_pos), (16, in_size or len(packed)), (32, out_pos), (40, out_size)):
        stub.mov("rax", value).store("rsp", STRUCTURE + offset, "rax")
    stub.address("rdi", "rsp", 0x60).address("rsi", "rsp", STRUCTURE).call()
    return stub.load("rax", "rsp", STRUCTURE + 8).keep("rax").load("rax", "rsp", STRUCTURE + 32).keep("rax")


def xz_kernel(path: Path, **changes: int) -> Path:
    packed = xz_payload(DATA)
    code = f"B8{OWN_ANSWER:02X}000000 C3"
    return write_kernel(path, packed, SIZE, INIT_SIZE, lambda stub: xz_call(stub, packed, **changes).finish(code))


def test_a_call_of_xz_s_decompressor_ends_the_stream_and_moves_both_positions(path: Path) -> None:
    result = booted(xz_kernel(path))
    assert buffer_of(result)[:SIZE] == DATA
    assert answers(result, 3) == [1, len(xz_payload(DATA)) - 4, SIZE]
    assert (shortcut_of(result).taken, shortcut_of(result).function) == (True, "xz_dec_run")


@pytest.mark.parametrize("changes", [{"in_pos": 1}, {"out_pos": 1}, {"out_size": SIZE - 1}, {"in_size": 99}])
def test_xz_in_pieces_is_left_to_the_real_code(changes: dict[str, int], path: Path) -> None:
    result = booted(xz_kernel(path, **changes))
    assert answers(result, 3) == [OWN_ANSWER, changes.get("in_pos", 0), changes.get("out_pos", 0)]
    assert not shortcut_of(result).taken


LZ4_SIZE = 19 * MIB
LZ4_DATA = contents(LZ4_SIZE)


def lz4_kernel(path: Path, last_size: int = LZ4_SIZE - 2 * CHUNK, first_again: bool = False) -> tuple[Path, list[int]]:
    """A stub that unpacks chunk after chunk, and the packed sizes."""
    chunks = lz4_chunks(LZ4_DATA)

    def program(stub: Stub) -> bytes:
        at = 4
        for number, (chunk, size) in enumerate(zip(chunks, (CHUNK, CHUNK, last_size), strict=True)):
            stub.payload("rdi", 8).address("rdi", "rdi", at - 4).load("rsi", "rsp", BUFFER)
            stub.address("rsi", "rsi", number * CHUNK).mov("rdx", size).call()
            if first_again and not number:
                stub.payload("rdi", 8).load("rsi", "rsp", BUFFER).mov("rdx", size).call()
            at += 4 + len(chunk)
        return stub.finish(leaves_a_mark("rsi"))

    write_kernel(path, lz4_payload(chunks, LZ4_SIZE), LZ4_SIZE, 20 * MIB, program)
    return path, [len(chunk) for chunk in chunks]


def test_each_chunk_of_lz4_is_answered_with_its_packed_size(path: Path) -> None:
    kernel, sizes = lz4_kernel(path)
    result = booted(kernel)
    assert buffer_of(result)[:LZ4_SIZE] == LZ4_DATA
    assert answers(result, 3) == sizes
    shortcut = shortcut_of(result)
    assert (shortcut.taken, shortcut.function, shortcut.calls) == (True, "LZ4_decompress_fast", 3)


def test_a_part_of_the_chunks_is_not_called_the_whole(path: Path) -> None:
    kernel, sizes = lz4_kernel(path, last_size=MIB)
    result = booted(kernel)
    assert answers(result, 3) == [*sizes[:2], OWN_ANSWER]
    shortcut = shortcut_of(result)
    assert (shortcut.taken, shortcut.calls, shortcut.unpacked_bytes) == (False, 2, 2 * CHUNK)
    assert shortcut.why == "not all calls of the decompressor met its contract"


def test_a_chunk_counts_once(path: Path) -> None:
    kernel, sizes = lz4_kernel(path, last_size=MIB, first_again=True)
    result = booted(kernel)
    assert answers(result, 4) == [sizes[0], OWN_ANSWER, sizes[1], OWN_ANSWER]
    assert (shortcut_of(result).taken, shortcut_of(result).unpacked_bytes) == (False, 2 * CHUNK)


def whole_call(stub: Stub, packed: bytes, fill: int = 0, position: int = 0) -> Stub:
    """__decompress(buf, len, fill, flush, out_buf, out_len, pos, error)."""
    stub.mov("rax", position).store("rsp", 0, "rax").store("rsp", 8, "rax")
    stub.payload("rdi").mov("rsi", len(packed)).mov("rdx", fill).mov("rcx", 0)
    return stub.load("r8", "rsp", BUFFER).mov("r9", SIZE).call()


@pytest.mark.parametrize("pack", [gzip_payload, zstd_payload, xz_payload])
def test_a_whole_decompressor_is_known_whatever_its_format(pack: Callable[[bytes], bytes], path: Path) -> None:
    packed = pack(DATA)
    code = leaves_a_mark("r8")
    result = booted(write_kernel(path, packed, SIZE, INIT_SIZE, lambda stub: whole_call(stub, packed).finish(code)))
    assert buffer_of(result)[:SIZE] == DATA
    assert answers(result) == [0]
    assert (shortcut_of(result).taken, shortcut_of(result).function) == (True, "__decompress")


@pytest.mark.parametrize("changes", [{"fill": 0x1000}, {"position": 0x1000}])
def test_a_whole_decompressor_that_is_fed_in_pieces_is_left_to_the_real_code(
    changes: dict[str, int], path: Path
) -> None:
    packed, code = gzip_payload(DATA), leaves_a_mark("r8")
    kernel = write_kernel(path, packed, SIZE, INIT_SIZE, lambda stub: whole_call(stub, packed, **changes).finish(code))
    result = booted(kernel)
    assert answers(result) == [OWN_ANSWER]
    assert not shortcut_of(result).taken


def test_a_stub_that_never_takes_its_payload_s_address_is_not_watched(path: Path) -> None:
    packed = zstd_payload(DATA)
    kernel = write_kernel(path, packed, SIZE, INIT_SIZE, lambda stub: stub.call().finish("31C0 C3"))
    shortcut = shortcut_of(booted(kernel))
    assert not shortcut.taken
    assert shortcut.why == "no function is called near where the stub takes its payload's address"


def test_a_payload_that_is_not_packed_leaves_nothing_to_unpack(path: Path) -> None:
    kernel = write_kernel(path, with_length(DATA[:1024], SIZE), SIZE, INIT_SIZE, lambda stub: stub.finish("C3"))
    assert shortcut_of(booted(kernel)).why == "the kernel has no packed payload that the host knows"


# ---- where the functions are ------------------------------------------------------------------------------------


def code_with(pieces: dict[int, bytes], size: int = 0x4000) -> bytes:
    code = bytearray(b"\x90" * size)
    for at, piece in pieces.items():
        code[at : at + len(piece)] = piece
    return bytes(code)


def displacement(end: int, target: int) -> bytes:
    return (target - end).to_bytes(4, "little", signed=True)


@pytest.mark.parametrize("site", [0x1000, 0x1001, 0x1002, 0x1003])
@pytest.mark.parametrize("behind", [0, 4])  # an immediate may follow the displacement
def test_calls_near_a_reference_are_found_wherever_it_stands(site: int, behind: int) -> None:
    pieces = {
        site: displacement(site + 4 + behind, -0x5000),
        0x1100: b"\xe8" + displacement(0x1105, 0x2000),
        0x0F00: b"\xe8" + displacement(0x0F05, 0x40),
        0x3000: b"\xe8" + displacement(0x3005, 0x2100),  # too far from it
        0x1200: b"\xe8" + displacement(0x1205, 0x9000),  # leads out of the code
    }
    assert functions_called_near(code_with(pieces), 0x700000, 0x700000 - 0x5000) == [0x700040, 0x702000]


def test_a_reference_to_something_else_leads_nowhere() -> None:
    pieces = {0x1000: displacement(0x1004, -0x4000), 0x1100: b"\xe8" + displacement(0x1105, 0x2000)}
    assert functions_called_near(code_with(pieces), 0x700000, 0x700000 - 0x5000) == []
    assert functions_called_near(b"", 0x700000, 0) == functions_called_near(b"\xe8", 0x700000, 0) == []


# ---- held against the slow path ---------------------------------------------------------------------------------


def unpacks_zeros(path: Path) -> Path:
    """A stub whose real decompressor is right: fresh memory holds what the payload unpacks to already."""
    return zstd_kernel(path, zstd_payload(bytes(SIZE)), f"B8{SIZE.to_bytes(4, 'little').hex()} C3")


def test_a_shortcut_that_does_what_the_real_code_does_agrees_to_the_last_byte(path: Path) -> None:
    with open_boot_files(unpacks_zeros(path), [], "nokaslr") as opened:
        slow = boot_on_cpu(OPTIONS, opened.boot)
        result = verify_shortcut(slow, OPTIONS, opened.boot)
    assert result.taken
    assert result.differences == ()
    assert result.agrees
    assert result.agreed[BUFFER_BYTES] == INIT_SIZE
    assert result.agreed["calls"] > 0
    assert result.agreed["clock"] == 1


def test_a_byte_that_differs_is_told_with_its_place(path: Path) -> None:
    with open_boot_files(zstd_kernel(path), [], "nokaslr") as opened:
        result = verify_shortcut(boot_on_cpu(OPTIONS, opened.boot), OPTIONS, opened.boot)
    assert result.taken
    assert not result.agrees
    (difference,) = result.differences
    assert difference.what == BUFFER_BYTES
    assert difference.slow == "from offset 0x0 on: 5a " + " ".join(["00"] * 15)
    assert difference.fast == f"from offset 0x0 on: {DATA[:16].hex(' ')}"


def test_two_runs_of_the_real_code_prove_nothing_about_the_shortcut(path: Path) -> None:
    with open_boot_files(zstd_kernel(path, source=1), [], "nokaslr") as opened:
        result = verify_shortcut(boot_on_cpu(OPTIONS, opened.boot), OPTIONS, opened.boot)
    assert result.differences == ()
    assert not result.taken
    assert not result.agrees


# ---- the command line -------------------------------------------------------------------------------------------


def test_the_story_names_the_shortcut(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["boot", str(zstd_kernel(path)), "--memory", "2G", "--engine", "cpu"]
    main([*words, "--fast-decompress"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "shortcut the host unpacked the kernel: zstd, " in shown
    assert " to 7 MiB, in place of zstd_decompress_dctx() at 0x" in shown
    main(words)
    assert "shortcut" not in capsys.readouterr().out


def test_the_story_says_that_and_why_it_was_not_taken(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["boot", str(zstd_kernel(path, source=1)), "--memory", "2G", "--engine", "cpu", "--fast-decompress"])
    assert "shortcut  not taken: no call met the contract of a decompressor" in capsys.readouterr().out


def test_json_has_the_shortcut_where_it_was_asked_for(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["boot", str(zstd_kernel(path)), "--memory", "2G", "--engine", "cpu", "--json"]
    main([*words, "--fast-decompress"])
    found = json.loads(capsys.readouterr().out)["shortcut"]
    assert (found["taken"], found["format"], found["unpacked_bytes"], found["why"]) == (True, "zstd", SIZE, None)
    main(words)
    assert "shortcut" not in json.loads(capsys.readouterr().out)


def test_verify_holds_the_shortcut_against_the_slow_path(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["verify", str(unpacks_zeros(path)), "--memory", "2G", "--fast-decompress"]
    main(words)
    lines = capsys.readouterr().out.splitlines()
    assert "verdict   the shortcut leaves what the slow path leaves" in lines
    assert any(f"{INIT_SIZE:,} bytes of the kernel's buffer" in line for line in lines)
    main([*words, "--json"])
    found = json.loads(capsys.readouterr().out)["shortcut"]
    assert (found["taken"], found["agrees"], found["differences"]) == (True, True, [])


def test_verify_fails_where_the_two_differ_or_the_shortcut_was_not_taken(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(zstd_kernel(path)), "--memory", "2G", "--fast-decompress"]) == 1
    assert "verdict   1 differences between the shortcut and the slow path" in capsys.readouterr().out
    assert main(["verify", str(zstd_kernel(path, source=1)), "--memory", "2G", "--fast-decompress"]) == 1
    assert "the shortcut was not taken, so that there was nothing to compare" in capsys.readouterr().out

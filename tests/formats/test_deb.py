from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.errors import FormatError, HostError
from tdvfsh.formats.deb import extract_members, iter_deb_members, read_control
from tests.images.packages import ar_of, deb_of, packed, tar_of

KERNEL = bytes(range(256)) * 40
FILES = {"boot/config": b"y", "boot/vmlinuz-6.12": KERNEL, "lib/modules/a.ko": b"m" * 5000}


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".zst"])
def test_a_file_comes_out_whole_whatever_the_package_is_packed_with(tmp_path: Path, suffix: str) -> None:
    deb = written(tmp_path / "a.deb", deb_of(FILES, suffix=suffix))
    out = tmp_path / "kernel"
    found = extract_members(deb, {"boot/vmlinuz-*": out})["boot/vmlinuz-*"]
    assert out.read_bytes() == KERNEL
    assert (found.name, found.size, found.sha256) == (
        "boot/vmlinuz-6.12", len(KERNEL), hashlib.sha256(KERNEL).hexdigest(),
    )  # fmt: skip


def test_only_what_was_asked_for_is_written(tmp_path: Path) -> None:
    deb = written(tmp_path / "a.deb", deb_of(FILES))
    out = tmp_path / "out"
    out.mkdir()
    extract_members(deb, {"boot/config": out / "c"})
    assert [path.name for path in out.iterdir()] == ["c"]


def test_reading_stops_after_the_last_file_that_was_wanted(tmp_path: Path) -> None:
    whole = deb_of({**FILES, "lib/big": bytes(4_000_000)}, suffix="")
    cut = written(tmp_path / "a.deb", whole[:-1_000_000])
    steps: list[int] = []
    with pytest.raises(FormatError, match="past the end"):
        extract_members(cut, {"boot/config": tmp_path / "c"})
    deb = written(tmp_path / "b.deb", whole)
    extract_members(deb, {"boot/config": tmp_path / "c"}, lambda done, _: steps.append(done))
    assert max(steps) < 1_000_000


def test_regular_files_are_listed_without_leading_dot_and_without_links(tmp_path: Path) -> None:
    data = packed(tar_of({"./b": b"22"}, {"./a": "b"}), ".gz")
    deb = written(tmp_path / "a.deb", ar_of({"debian-binary": b"2.0\n", "data.tar.gz": data}))
    assert [(m.name, m.size) for m in iter_deb_members(deb)] == [("b", 2)]


def test_control_fields_are_read(tmp_path: Path) -> None:
    deb = written(tmp_path / "a.deb", deb_of(FILES, package="linux-image-x", version="6.12.1-1"))
    assert read_control(deb)["Package"] == "linux-image-x"
    assert read_control(deb)["Version"] == "6.12.1-1"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    deb = written(tmp_path / "a.deb", deb_of(FILES))
    with pytest.raises(FormatError, match="no file boot/initrd"):
        extract_members(deb, {"boot/initrd": tmp_path / "i"})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no ar magic"),
        (b"MZ" * 100, "no ar magic"),
        (b"!<arch>\n", "no data.tar member"),
        (b"!<arch>\n" + b"x" * 60, "damaged ar header"),
        (ar_of({"data.tar.rar": b"x"}), "unknown compression"),
        (ar_of({"data.tar.\n\x1b]0;x": b"x"}), r"data\.tar\.\\n\\x1b\]0;x has an unknown"),  # found by fuzzing
        (ar_of({"\n": b"xxxx"})[:-3], r"ar member '\\n' goes past"),
        (ar_of({"data.tar.xz": b"not xz at all"}), "damaged"),
        (ar_of({"data.tar.zst": b"not zstd"}), "damaged"),
        (ar_of({"data.tar": b"x" * 600}), "damaged"),
        (deb_of(FILES)[:-200], "past the end"),
    ],
)  # fmt: skip
def test_what_is_no_package_is_refused_in_one_line(tmp_path: Path, content: bytes, why: str) -> None:
    deb = written(tmp_path / "a.deb", content)
    with pytest.raises(FormatError, match=why) as caught:
        extract_members(deb, {"boot/*": tmp_path / "x"})
    assert "\n" not in str(caught.value)


def test_a_stream_that_ends_inside_a_file_is_refused(tmp_path: Path) -> None:
    data = packed(tar_of({"./boot/vmlinuz": KERNEL})[:2000], ".xz")
    deb = written(tmp_path / "a.deb", ar_of({"data.tar.xz": data}))
    with pytest.raises(FormatError, match=r"damaged|cut short"):
        extract_members(deb, {"boot/vmlinuz": tmp_path / "x"})


def test_a_file_name_that_acts_on_a_terminal_is_shown_harmless(tmp_path: Path) -> None:
    tar = tar_of({"./boot/\x1b[2J\n": bytes(2000)})[:1500]
    deb = written(tmp_path / "a.deb", ar_of({"data.tar": tar}))
    with pytest.raises(FormatError, match="in the package") as caught:
        extract_members(deb, {"boot/*": tmp_path / "x"})
    assert str(caught.value).isprintable()


def test_a_giant_tar_header_does_not_fill_memory(tmp_path: Path) -> None:
    header = bytearray(tar_of({"./x": b""})[:512])
    header[124:136] = b"%011o\0" % (64 << 20)
    header[156:157] = b"x"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    deb = written(tmp_path / "a.deb", ar_of({"data.tar.xz": packed(bytes(header) + bytes(64 << 20), ".xz")}))
    tracemalloc.start()
    with pytest.raises(FormatError, match="larger than any real one"):
        list(iter_deb_members(deb))
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_a_missing_package_a_folder_and_an_unwritable_target_are_host_errors(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no such file"):
        read_control(tmp_path / "none.deb")
    with pytest.raises(HostError, match="not a regular file"):
        read_control(tmp_path)
    deb = written(tmp_path / "a.deb", deb_of(FILES))
    with pytest.raises(HostError, match="no such file"):
        extract_members(deb, {"boot/config": tmp_path / "nowhere" / "c"})


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 10_000), value=st.integers(0, 255), suffix=st.sampled_from(["", ".gz", ".xz", ".zst"]))
def test_no_damaged_byte_gets_past_as_anything_but_a_format_error(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int, suffix: str
) -> None:
    content = bytearray(deb_of(FILES, suffix=suffix))
    content[position % len(content)] = value
    folder = tmp_path_factory.mktemp("damaged")
    deb = written(folder / "a.deb", bytes(content))
    try:
        found = extract_members(deb, {"boot/vmlinuz-*": folder / "k"})
    except FormatError:
        return
    assert found["boot/vmlinuz-*"].size <= 1 << 20


def test_files_that_are_larger_in_all_than_the_limit_are_not_written(tmp_path: Path) -> None:
    deb = written(tmp_path / "a.deb", deb_of({"a": bytes(600), "b": bytes(600)}, suffix=".xz"))
    wanted = {"a": tmp_path / "a", "b": tmp_path / "b"}
    assert len(extract_members(deb, wanted, most=1200)) == 2
    (tmp_path / "b").unlink()
    with pytest.raises(FormatError, match="b: more than 1 KiB in total, the limit"):
        extract_members(deb, wanted, most=1024)
    assert not (tmp_path / "b").exists()

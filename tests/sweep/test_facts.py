"""Facts stand for files: a boot cannot tell them apart."""

from __future__ import annotations

import pickle
import resource
from pathlib import Path

import pytest

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.boots.modelled_boot import boot
from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.errors import HostError, UsageError
from tdvfsh.images.fetch import fetch
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.options import LOADER_NAMES, TdOptions
from tdvfsh.sweep.facts import boot_files, facts_of, image_facts, kernel_facts
from tdvfsh.units import GIB, KIB, MIB
from tests.formats.pe_builder import Section, build_pe
from tests.loaders.made import KERNELS, MadeImages

ACCEPTS = ("96M", "192M", "512M")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeImages:
    return MadeImages(tmp_path_factory.mktemp("images"))


def _story(options: TdOptions, files: BootFiles) -> object:
    """All that a boot tells, down to every call."""
    try:
        result = boot(options, files)
    except UsageError as error:
        return str(error)
    calls = [record.as_dict() for record in result.machine.trace]
    placements = [(entry.what, entry.start, entry.end, entry.freed) for entry in result.placements]
    return result.status, result.stage, placements, result.failure, result.messages, result.memory_map, calls


def _assert_same_boots(files: BootFiles, accepts: tuple[str, ...] = ACCEPTS) -> None:
    stand_in = boot_files(pickle.loads(pickle.dumps(image_facts("image", files))))
    for loader in LOADER_NAMES:
        for accept in accepts:
            for on_demand in ("none", "service"):
                options = TdOptions(
                    memory=2 * GIB, accept=parse_boot_accept(accept), loader=loader, on_demand=on_demand
                )
                assert _story(options, files) == _story(options, stand_in), (loader, accept, on_demand)


@pytest.mark.parametrize("kernel", KERNELS)
def test_made_kernels_of_each_generation_boot_alike_from_facts_and_from_files(made: MadeImages, kernel: str) -> None:
    initrds = [made.initrd(40 * MIB), made.initrd(3 * MIB + 12)]
    with open_boot_files(made.kernel(kernel), initrds, "quiet") as opened:
        _assert_same_boots(opened.boot, ("192M",))


def test_a_unified_kernel_image_boots_alike_from_facts_and_from_the_file(made: MadeImages) -> None:
    with open_boot_files(made.uki("6.12-cloud", 8 * MIB, "nokaslr"), [made.initrd(5 * MIB)]) as opened:
        assert opened.boot.kernel.inner is not None
        _assert_same_boots(opened.boot)


@pytest.mark.images
@pytest.mark.parametrize("image", ["installer-13", "kernel-6.1", "kernel-7-cloud"])
def test_real_kernels_boot_alike_from_facts_and_from_files(made: MadeImages, image: str) -> None:
    try:
        files = fetch(image).files
    except HostError as error:
        pytest.skip(f"no package archive here: {error}")
    kernel = files["kernel"]
    initrd = files.get("initrd", made.initrd(40 * MIB))
    with open_boot_files(kernel, [initrd], "console=ttyS0") as opened:
        _assert_same_boots(opened.boot, ("192M",))


def test_facts_of_a_kernel_are_a_few_kilobytes_however_large_the_files(made: MadeImages) -> None:
    with open_boot_files(made.kernel("6.12"), [made.initrd(2 * GIB)]) as opened:
        assert len(pickle.dumps(image_facts("image", opened.boot))) < 64 * KIB


def test_stand_ins_for_huge_files_occupy_no_memory(made: MadeImages) -> None:
    with open_boot_files(made.kernel("6.12")) as opened:
        kernel = kernel_facts(opened.boot.kernel)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    files = boot_files(facts_of("image", kernel, [("initrd", 64 * GIB)], ""))
    assert files.initrd_size == 64 * GIB
    assert bytes(files.initrds[0].view[40 * GIB : 40 * GIB + 2]) == b"\0\0"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * KIB  # in KiB: 64 MiB


def test_the_digest_changes_with_what_a_boot_could_notice_and_with_nothing_else(
    made: MadeImages, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "renamed"
    elsewhere.write_bytes(made.kernel("6.12").read_bytes())

    def digest(kernel: Path, initrd: int = 8 * MIB, cmdline: str = "", name: str = "image") -> str:
        with open_boot_files(kernel, [made.initrd(initrd)], cmdline) as opened:
            return image_facts(name, opened.boot).digest

    same = digest(made.kernel("6.12"))
    assert digest(elsewhere, name="other") == same
    others = {
        digest(made.kernel("6.12-cloud")),
        digest(made.kernel("6.12"), initrd=8 * MIB + 512),
        digest(made.kernel("6.12"), cmdline="quiet"),
    }
    assert len(others) == 3
    assert same not in others


def test_relocations_and_debug_data_are_kept_since_firmware_follows_them(tmp_path: Path) -> None:
    relocations = (0x1000).to_bytes(4, "little") + (12).to_bytes(4, "little") + b"\x10\xa0\x00\x00"
    sections = (
        Section(b".text", 0x1000, 0x80000, 0x400, 0x80000, b"\x90" * 0x80000),
        Section(b".reloc", 0x81000, 12, 0x80400, 0x200, relocations),
    )
    path = tmp_path / "program.efi"
    path.write_bytes(build_pe(sections, size=0x80600, size_of_image=0x82000, directories={5: (0x81000, 12)}))
    with open_boot_files(path) as opened:
        facts = image_facts("program", opened.boot)
        kept = sum(len(data) for _, data in facts.kernel.kept)
        assert kept < 8 * KIB
        _assert_same_boots(opened.boot, ("192M",))


def test_a_file_that_would_load_otherwise_without_its_bulk_is_kept_whole(tmp_path: Path) -> None:
    # A CodeView entry whose address and file offset disagree: firmware looks at the one, most tools at the other.
    content = bytearray(0x3000)
    content[12:28] = b"".join(value.to_bytes(4, "little") for value in (2, 4, 0x1100, 0x600))
    content[0x100:0x104] = b"RSDS"
    sections = (Section(b".text", 0x1000, 0x3000, 0x400, 0x3000, bytes(content)),)
    path = tmp_path / "program.efi"
    path.write_bytes(build_pe(sections, size=0x3400, size_of_image=0x4000, directories={6: (0x1000, 28)}))
    with open_boot_files(path) as opened:
        assert image_facts("program", opened.boot).kernel.kept == ((0, path.read_bytes()),)
        _assert_same_boots(opened.boot, ("192M",))

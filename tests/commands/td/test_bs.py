"""``bs``: boot services by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.commands.td.bs_services import SERVICES, usage
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.machine_binding import machine_of
from tests.shell.under_test import ShellUnderTest

IMAGES = Path(__file__).parents[2] / "recordings" / "dxe" / "images"


@pytest.fixture
def small(under_test: ShellUnderTest) -> ShellUnderTest:
    """A TD of 1 GiB, half of it accepted."""
    under_test.run("td new -memory 1G -accept 512M")
    return under_test


def result(text: str, name: str) -> int:
    """A result of the last call, which is shown in hex."""
    found = re.search(rf"^  {name} +(\w+)$", text, re.MULTILINE)
    assert found is not None, text
    return int(found[1], 16)


def test_allocated_pages_stand_in_the_map_until_they_are_freed(small: ShellUnderTest) -> None:
    start = result(small.run("bs AllocatePages AnyPages LoaderData 0x10"), "Memory")
    row = f"LoaderData {start:016X}-{start + 0xFFFF:016X} 0000000000000010"
    assert row in small.run("memmap")
    assert small.run(f"bs FreePages {start:X} 10") == "Status: Success\n"
    assert row not in small.run("memmap")


def test_results_line_up_in_hex(small: ShellUnderTest) -> None:
    assert small.run("bs AllocatePages Address LoaderData 10 1000000") == (
        "Status: Success\n  Memory     0x1000000\n  Last byte  0x100ffff\n"
    )


@pytest.mark.parametrize(
    "line",
    [
        "bs allocatepages any loaderdata 1",
        "bs ALLOCATEPAGES AllocateAnyPages EfiLoaderData 1",
        "bs AllocatePages anypages BS_Data 1",
        "bs AllocatePages 0 2 1",
        "bs AllocatePages MaxAddress BootServiceCode 1 FFFFFFFF",
        "bs AllocatePages any 80000001 1",
        "bs AllocatePool loaderdata 4K",
    ],
)
def test_services_and_types_have_their_names_in_any_case_and_numbers(small: ShellUnderTest, line: str) -> None:
    assert small.run(line).startswith("Status: Success\n")
    assert small.shell.last_error_code == 0


def test_the_status_becomes_lasterror(small: ShellUnderTest) -> None:
    assert small.run("bs AllocatePages any LoaderData 20000") == "Status: Out of Resources\n"
    assert small.run("echo %lasterror%") == "0x9\n"


def test_an_unknown_service_is_answered_with_what_may_have_been_meant(small: ShellUnderTest) -> None:
    assert small.run("bs Foo") == "bs: 'Foo' is not a boot service; 'bs' lists them\n"
    assert small.shell.last_error_code == 2
    text = small.run("bs allocpages any LoaderData 1")
    assert text == "bs: 'allocpages' is not a boot service; did you mean 'AllocatePages' or 'AllocatePool'?\n"


def test_without_a_service_all_are_listed_with_their_arguments(small: ShellUnderTest) -> None:
    lines = small.run("bs").splitlines()
    assert lines[0] == "AllocatePages Type MemoryType Pages [Memory]"
    assert "GetMemoryMap [MemoryMapSize]" in lines
    assert small.shell.last_error_code == 0


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("bs AllocatePages foo LoaderData 1", "Type 'foo' is not an allocate type: AnyPages, MaxAddress, Address"),
        ("bs AllocatePages any foo 1", "MemoryType 'foo' is not a memory type: ReservedMemoryType, LoaderCode"),
        ("bs AllocatePages any 100000000 1", "MemoryType '100000000' is not a memory type"),
        ("bs AllocatePages any LoaderData 10000000000000000", "Pages '10000000000000000' is not a number in hex"),
        ("bs AllocatePages any LoaderData", "Too few arguments: AllocatePages Type MemoryType Pages [Memory]"),
        ("bs FreePool 1 2", "Too many arguments: FreePool Buffer"),
        ("bs LocateProtocol foo", "Protocol 'foo' is not a GUID or one of AbsolutePointer, Acpi20Table"),
        ("bs Exit 1 foo", "ExitStatus 'foo' is not a status"),
    ],
)
def test_words_that_do_not_fit_are_one_line_and_nothing_is_called(small: ShellUnderTest, line: str, why: str) -> None:
    before = len(machine_of(small.shell).trace)
    text = small.run(line)
    assert why in text
    assert text.count("\n") == 1
    assert small.shell.last_error_code == 2
    assert len(machine_of(small.shell).trace) == before


def test_the_key_of_the_map_opens_the_way_out_once(small: ShellUnderTest) -> None:
    key = result(small.run("bs GetMemoryMap"), "MapKey")
    small.run("bs AllocatePages any LoaderData 1")
    assert small.run(f"bs ExitBootServices {key:X}") == "Status: Invalid Parameter\n"
    key = result(small.run("bs GetMemoryMap"), "MapKey")
    assert small.run(f"bs ExitBootServices {key:X}").startswith("Status: Success\n")
    assert small.run("bs AllocatePages any LoaderData 1") == "Status: Unsupported\n"
    assert small.run("accept 512M 2M") == "accept: Unsupported - boot services are gone\n"


def test_a_map_that_does_not_fit_tells_its_size(small: ShellUnderTest) -> None:
    text = small.run("bs GetMemoryMap 0")
    assert text.startswith("Status: Buffer Too Small\n")
    assert small.run(f"bs GetMemoryMap {result(text, 'MemoryMapSize'):X}").startswith("Status: Success\n")


def test_accept_memory_is_a_service_like_any_other(small: ShellUnderTest) -> None:
    assert result(small.run("bs AcceptMemory 512M 2M"), "Newly accepted") == 2 << 20
    assert result(small.run("bs AcceptMemory 512M 2M"), "Newly accepted") == 0
    assert small.run("bs AcceptMemory 512M 1").startswith("Status: Invalid Parameter\n")


def test_an_image_is_loaded_by_its_device_path_and_unloaded(small: ShellUnderTest) -> None:
    small.files.write_file("child.efi", (IMAGES / "S00-child.efi").read_bytes())
    text = small.run("bs LoadImage child.efi")
    assert result(text, "ImageSize") == 0x3000
    assert f"LoaderCode {result(text, 'ImageBase'):016X}" in small.run("memmap")
    handle = result(text, "ImageHandle")
    started = small.run(f"bs StartImage {handle:X}")
    assert started.startswith("Status: Unsupported\n")
    assert "CPU engine" in started
    assert small.run(f"bs UnloadImage {handle:X}") == "Status: Success\n"
    assert small.run(f"bs UnloadImage {handle:X}") == "Status: Invalid Parameter\n"
    services = [record.service for record in machine_of(small.shell).trace if record.parent >= 0]
    assert services[:3] == ["AllocatePool", "Placement", "AllocatePool"]  # the file, and the core's own record
    assert services.count("FreePool") == 2


def test_a_file_without_room_for_its_buffer_is_not_found(small: ShellUnderTest, tmp_path: Path) -> None:
    with (tmp_path / "big.efi").open("wb") as stream:
        stream.truncate(600 << 20)
    small.shell.mount(HostFolder(str(tmp_path)))
    assert small.run("bs LoadImage fs1:\\big.efi") == "Status: Not Found\n"
    assert small.run("trace -status OUT_OF_RESOURCES -sfo | parse Call 6") == "AllocatePool\n"


def test_a_missing_file_is_not_found(small: ShellUnderTest) -> None:
    assert small.run("bs LoadImage nosuch") == "Status: Not Found\n  File not found - 'nosuch'\n"
    assert small.shell.last_error_code == 0xE


def test_protocols_are_located_by_name_and_guid(small: ShellUnderTest) -> None:
    small.run("bs LocateProtocol gEfiLoadedImageProtocolGuid")
    assert result(small.run("bs LocateProtocol EFI_LOADED_IMAGE_PROTOCOL"), "On handle") == 1
    assert small.run("bs LocateProtocol 5b1b31a1-9562-11d2-8e3f-00a0c969723b").startswith("Status: Success\n")
    assert small.run("bs LocateProtocol LoadFile2") == "Status: Not Found\n"


def test_a_configuration_table_goes_in_and_out(small: ShellUnderTest) -> None:
    line = "bs InstallConfigurationTable LinuxEfiUnacceptedMemTable"
    assert small.run(f"{line} 1000", f"{line} 0", f"{line} 0") == (
        "Status: Success\nStatus: Success\nStatus: Not Found\n"
    )


def test_services_and_types_complete(under_test: ShellUnderTest) -> None:
    def texts(line: str) -> list[str]:
        return [proposal.text for proposal in under_test.shell.complete(line, len(line))]

    assert texts("bs alloc") == ["AllocatePages", "AllocatePool"]
    assert "LoaderData" in texts("bs AllocatePages AnyPages loaderd")


def test_every_service_tells_how_it_is_written() -> None:
    for service in SERVICES:
        assert usage(service).split()[0] == service.name


WORDS = st.sampled_from(
    ["0", "1", "2", "4", "1000", "FFFFFFFFFFFFFFFF", "20000000", "Any", "Address", "LoaderData", "LoadedImage",
     "LoadFile2", "a.efi", "nosuch", "-1", "zz", "512M", '""']
)  # fmt: skip
NAMES = st.sampled_from([service.name for service in SERVICES if service.name != "ExitBootServices"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NAMES, st.lists(WORDS, max_size=5)), max_size=6))
def test_no_words_bring_the_shell_down(calls: list[tuple[str, list[str]]]) -> None:
    under_test = ShellUnderTest()
    under_test.put("a.efi", "MZ")
    for name, words in calls:
        text = under_test.run(" ".join(["bs", name, *words]))
        assert text.startswith(("Status: ", "bs: "))

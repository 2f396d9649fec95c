"""Completion by the place of a word."""

from __future__ import annotations

from tdvfsh.uefi.memory import EfiMemoryType
from tests.shell.under_test import ShellUnderTest


def texts(under_test: ShellUnderTest, line: str) -> list[str]:
    return [item.text for item in under_test.shell.complete(line, len(line))]


def test_accept_offers_the_starts_of_unaccepted_ranges_and_then_their_sizes(under_test: ShellUnderTest) -> None:
    under_test.run("td new -memory 4G -accept 512M", "accept 1G 256M")
    starts = texts(under_test, "accept ")
    assert starts == ["0x20000000", "0x50000000", "0x100000000"]
    metas = [item.meta for item in under_test.shell.complete("accept ", 7)]
    assert metas[0] == "512 MiB unaccepted"
    assert texts(under_test, "accept 0x5") == ["0x50000000"]
    assert texts(under_test, "accept 1280M ") == [f"{0x80000000 - 0x50000000:#x}"]
    assert texts(under_test, "accept 0 ") == []
    assert texts(under_test, "tdcall accept ") == starts
    assert texts(under_test, "bs AcceptMemory ") == starts


def test_arguments_of_a_boot_service_complete_by_their_place(under_test: ShellUnderTest) -> None:
    under_test.put("kernel.efi", "MZ")
    assert texts(under_test, "bs allocatepages ") == ["Address", "AnyPages", "MaxAddress"]
    types = sorted((member.name.removeprefix("Efi") for member in EfiMemoryType), key=str.lower)
    assert texts(under_test, "bs AllocatePages AnyPages ") == types
    assert texts(under_test, "bs AllocatePages AnyPages LoaderData ") == []
    assert texts(under_test, "bs LoadImage k") == ["kernel.efi"]
    assert "LoadedImage" in texts(under_test, "bs LocateProtocol ")
    assert texts(under_test, "bs LocateProtocol LoadedImage ") == []
    assert "ABORTED" in texts(under_test, "bs Exit 1 ")
    assert texts(under_test, "bs NoSuch ") == []


def test_the_map_key_of_now_is_offered_for_exit_boot_services(under_test: ShellUnderTest) -> None:
    under_test.run("td new -memory 1G")
    (key,) = texts(under_test, "bs ExitBootServices ")
    assert under_test.run(f"bs ExitBootServices {key}").startswith("Status: Success\n")


def test_every_option_comes_with_its_line_of_help(under_test: ShellUnderTest) -> None:
    found = {item.text: item.meta for item in under_test.shell.complete("ls -", 4)}
    assert found["-r"].startswith("Go into all directories below")
    assert set(found) == {"-a", "-b", "-r", "-sfo", "-?"}
    assert "option" not in found.values()

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.errors import HostError, MissingError, UsageError
from tdvfsh.formats.inspect import inspect_file
from tdvfsh.images.catalogue import CatalogueEntry, find_entry
from tdvfsh.images.clean import clean
from tdvfsh.images.fetch import FetchedImage, fetch, fetched
from tdvfsh.images.listing import list_images
from tdvfsh.images.named import (
    ANY,
    FIRMWARE,
    INITRD,
    KERNEL,
    OFFLINE,
    PROGRAM,
    fetched_or_refused,
    fetching,
    file_named,
    files_named,
    image_named,
    names_of,
)
from tests.images.packages import deb_of


def installer(folder: Path) -> FetchedImage:
    kernel, initrd = (member.member for member in find_entry("installer-13").members)
    deb = folder / "i.deb"
    deb.write_bytes(deb_of({kernel: b"k", initrd: b"i"}, package="debian-installer-13-netboot-amd64", version="7"))
    return fetch("installer-13", deb=deb)


def nothing_is_fetched(entry: CatalogueEntry) -> FetchedImage:
    raise AssertionError(f"{entry.name} was fetched")


def test_a_name_stands_for_the_file_of_the_kind_that_is_asked_for(tmp_path: Path) -> None:
    image = installer(tmp_path)
    kernel = file_named("installer-13", KERNEL, fetched_or_refused)
    assert kernel == (str(image.files["kernel"]), "installer-13/linux", "installer-13")
    assert file_named("installer-13", INITRD, fetched_or_refused).path == str(image.files["initrd"])
    assert file_named("installer-13/initrd.gz", KERNEL, fetched_or_refused).path == str(image.files["initrd"])
    assert file_named("installer", KERNEL, fetched_or_refused) == kernel


def test_a_whole_image_stands_for_its_initrd_too_and_a_file_of_it_does_not(tmp_path: Path) -> None:
    image = installer(tmp_path)
    _, initrds = files_named("installer-13", [], fetched_or_refused)
    assert [file.path for file in initrds] == [str(image.files["initrd"])]
    assert files_named("installer-13/linux", [], fetched_or_refused)[1] == []
    other = tmp_path / "other"
    other.touch()
    assert [file.path for file in files_named("installer-13", [str(other)], fetched_or_refused)[1]] == [str(other)]


def test_a_file_of_that_name_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shell").write_bytes(b"x")
    assert file_named("shell", PROGRAM, nothing_is_fetched) == ("shell", "shell", "")


def test_a_name_of_nothing_is_missing_and_near_names_are_suggested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("vmlinuz-6.12").touch()
    with pytest.raises(MissingError, match="no such file; did you mean the image installer-13"):
        file_named("instaler-13", KERNEL, nothing_is_fetched)
    with pytest.raises(MissingError, match=r"no such file; did you mean vmlinuz-6\.12\?"):
        file_named("vmlinux-6.12", KERNEL, nothing_is_fetched)
    with pytest.raises(MissingError, match="no image has that name; 'tdvfsh images list'"):
        file_named("typo", KERNEL, nothing_is_fetched)
    with pytest.raises(MissingError, match=r"^/none/there: no such file$") as caught:
        file_named("/none/there", KERNEL, nothing_is_fetched)
    assert caught.value.exit_status == 2


def test_an_image_without_such_a_file_says_what_it_has() -> None:
    with pytest.raises(UsageError, match=r"has no initrd; it has shell/shellx64\.efi \(EFI program\)"):
        image_named("shell", INITRD)
    with pytest.raises(UsageError, match=r"has no nonsense; it has shell/shellx64\.efi"):
        image_named("shell/nonsense", ANY)
    assert image_named("ovmf", FIRMWARE) == image_named("ovmf-2025.02", FIRMWARE)
    assert image_named("memtest86+", KERNEL) is not None  # an EFI program boots, too


def test_without_a_network_it_says_what_would_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    bring = fetching(nothing_starts := lambda entry: None, lambda what, done, total: None)
    monkeypatch.setenv(OFFLINE, "1")
    with pytest.raises(HostError, match=r"is set; it would be the package debian-installer-13.*trixie, 151 MB"):
        file_named("installer-13", KERNEL, bring)
    monkeypatch.setenv(OFFLINE, "0")
    monkeypatch.setenv("PATH", "/nowhere")  # no apt either
    monkeypatch.setattr("tdvfsh.images.apt._HELPER_FOLDERS", "/nowhere")
    with pytest.raises(HostError, match=r"cannot be: no apt on this machine.*\(it is the package .*151 MB\)"):
        file_named("installer-13", KERNEL, fetching(nothing_starts, lambda what, done, total: None))
    with pytest.raises(HostError, match="'tdvfsh images fetch shell' takes the package efi-shell-x64"):
        file_named("shell", PROGRAM, fetched_or_refused)


def test_init_is_made_without_a_network_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OFFLINE, "1")
    assert fetched("init") is None
    told: list[str] = []
    bring = fetching(lambda entry: told.append(entry.name), lambda what, done, total: None)
    first = Path(file_named("init", INITRD, bring).path)
    assert "initrd" in str(inspect_file(str(first))["formats"])
    content = first.read_bytes()
    assert Path(file_named("init", INITRD, bring).path) == first
    assert told == ["init"]
    assert fetch("init", refresh=True).files["initrd"].read_bytes() == content
    with pytest.raises(UsageError, match="no package holds it"):
        fetch("init", deb=Path("x.deb"))


def test_clean_deletes_what_is_of_no_use_or_what_is_named(tmp_path: Path) -> None:
    assert clean([], True, lambda: None) == []
    image = installer(tmp_path)
    fetch("init")
    assert clean([], False, lambda: None) == []
    image.files["kernel"].write_bytes(b"other")
    assert [what for what, _ in clean([], False, lambda: None)] == ["installer-13"]
    assert {image.name for image in list_images() if image.state == "fetched"} == {"init"}
    assert [what for what, _ in clean(["init"], False, lambda: None)] == ["init"]
    assert clean([], True, lambda: None) == []
    with pytest.raises(UsageError, match="no image is called"):
        clean(["nothing"], False, lambda: None)


def test_completion_knows_names_by_kind() -> None:
    assert {"installer", "kernel-6.12", "shell", "uki-6.12-cloud"} <= set(names_of(KERNEL))
    assert "init" in names_of(INITRD)
    assert "shell" not in names_of(INITRD)
    assert names_of(FIRMWARE) == ["ovmf", "ovmf-2022.11", "ovmf-2025.02", "ovmf-inteltdx"]

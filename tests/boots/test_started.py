"""A boot in a machine that has booted before is the same boot, down to every call."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.accept.on_demand import ON_DEMAND_NAMES
from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.boots.started import StartedMachines
from tdvfsh.dxe.memory.pages import PageAllocator
from tdvfsh.errors import UsageError
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import LOADER_NAMES, TdOptions
from tdvfsh.report.boots.boot_json import boot_dict
from tdvfsh.units import GIB, MIB
from tests.boots.made_files import INSTALLER_INITRD, Opener

ALIKE = list(product(LOADER_NAMES, ON_DEMAND_NAMES))


def _story(result: BootResult) -> object:
    """All that a boot tells, and where it leaves the machine."""
    machine = result.machine
    calls = [record.as_dict() for record in machine.trace]
    sept = list(machine.td.sept.spans())
    handles = [
        (handle, sorted(map(str, machine.services.handles.protocols(handle)))) for handle in machine.services.handles
    ]
    return boot_dict(result, ()), result.messages, calls, sept, handles, machine.clock.now_ns, result.lost_bytes


@pytest.mark.parametrize(
    "options",
    [
        TdOptions(memory=2 * GIB, accept=parse_boot_accept("224M")),
        TdOptions(memory=1 * GIB, accept=parse_boot_accept("presize:96M"), profile="rfc2021"),
        TdOptions(memory=6 * GIB, accept=parse_boot_accept("below-4g"), accept_at_exit="unless-objected", vcpus=4,
                  profile="trixie"),
        TdOptions(memory=1 * GIB, td=False, firmware_model="ovmf-2022.11"),
    ],
    ids=lambda options: f"{options.accept.name} {options.profile}",
)  # fmt: skip
def test_every_loader_and_option_in_one_machine_boots_as_in_its_own(options: TdOptions, opened: Opener) -> None:
    small, large = opened(INSTALLER_INITRD, "quiet").boot, opened(300 * MIB).boot
    machines = StartedMachines()
    for files in (small, large, small):  # in the end once more, after all the others
        for number, (loader, on_demand) in enumerate(ALIKE):
            chosen = _with(options, loader, on_demand, number * 0x9E3779B9 & 0xFFFFFFFF)
            assert _told(machines, chosen, files) == _told(None, chosen, files), (loader, on_demand)


def _with(options: TdOptions, loader: str, on_demand: str, seed: int) -> TdOptions:
    return replace(options, loader=loader, on_demand=on_demand, kaslr_seed=seed)


def _told(machines: StartedMachines | None, options: TdOptions, files: BootFiles) -> object:
    try:
        return _story(boot(options, files) if machines is None else machines.boot(options, files))
    except UsageError as error:
        return str(error)


def test_firmware_starts_once_for_all_loaders_of_a_stage(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[TdOptions] = []
    start = Machine.__init__

    def counted(machine: Machine, options: TdOptions, image_bytes: int = 0) -> None:
        made.append(options)
        start(machine, options, image_bytes)

    monkeypatch.setattr(Machine, "__init__", counted)
    machines, files = StartedMachines(), opened(INSTALLER_INITRD).boot
    for loader, on_demand in ALIKE:
        machines.boot(_with(TdOptions(), loader, on_demand, 1), files)
    assert len(made) == 2
    machines.boot(TdOptions(memory=3 * GIB), files)
    assert len(made) == 3


def test_what_presize_adds_for_other_files_is_another_machine(opened: Opener) -> None:
    machines, options = StartedMachines(), TdOptions(accept=parse_boot_accept("presize:96M"))
    for files in (opened(INSTALLER_INITRD).boot, opened(100 * MIB).boot):
        assert machines.boot(options, files).boot_bytes == boot(options, files).boot_bytes


def test_a_boot_that_raises_leaves_nothing_to_the_next(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    machines, files, options = StartedMachines(), opened(INSTALLER_INITRD).boot, TdOptions()
    expected = _story(machines.boot(options, files))
    with monkeypatch.context() as patch:
        patch.setattr(PageAllocator, "allocate_pages", lambda *arguments: 1 / 0)  # amid a call
        with pytest.raises(ZeroDivisionError):
            machines.boot(options, files)
    assert _story(machines.boot(options, files)) == expected


@pytest.mark.parametrize("loader", ["direct", "grub2.06", "grub2.12", "sd-boot"])
@pytest.mark.parametrize("accept", ["112M", "160M", "224M", "1G"])
def test_a_boot_that_says_so_is_the_same_with_every_option(loader: str, accept: str, opened: Opener) -> None:
    files = opened(INSTALLER_INITRD).boot
    options = TdOptions(memory=2 * GIB, accept=parse_boot_accept(accept), measurement="tpm")
    stories = {}
    for on_demand in ON_DEMAND_NAMES:
        result = boot(_with(options, loader, on_demand, 1), files)
        told = boot_dict(result, ())
        told["td"] = None
        stories[on_demand] = result.same_with_any_option, result.booted, (told, *_story(result)[1:])  # type: ignore[index]
    assert len({same for same, _, _ in stories.values()}) == 1
    if stories["none"][0]:
        assert all(story == stories["none"] for story in stories.values())
    else:
        assert not stories["none"][1] or stories["service"] != stories["none"]
    assert stories["none"][0] is (accept == "1G") or accept == "224M"

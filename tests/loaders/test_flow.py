"""One boot's state: steps that are repeated, placements, and failures in words with numbers."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.accept.needs import Need
from tdvfsh.accept.on_demand import NoAccept
from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.loaders.files import BootFiles, KernelFile
from tdvfsh.loaders.firmware_player import FirmwarePlayer
from tdvfsh.loaders.flow import LOAD_IMAGE, BootFlow, largest_free, shortage
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.td.firmware_calls import FirmwareCall
from tdvfsh.uefi.guids import EFI_EVENT_GROUP_MEMORY_MAP_CHANGE
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import GIB, MIB

DATA = EfiMemoryType.EfiLoaderData
OUT = EfiStatus.EFI_OUT_OF_RESOURCES


class Repeats(NoAccept):
    """Wants a step repeated that many times, and records what it is called with."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.told: list[tuple[str, int]] = []
        self.attempts: list[int] = []

    def before(self, services: BootServices, step: str, needs: Sequence[Need]) -> None:
        self.told.append((step, len(needs)))

    def repeat_after(
        self, services: BootServices, step: str, status: EfiStatus, needs: Sequence[Need], attempt: int
    ) -> bool:
        self.attempts.append(attempt)
        return attempt <= self.times


def flow_with(option: NoAccept, memory: int = 2 * GIB, td: bool = True) -> BootFlow:
    """A boot that has not begun."""
    machine = Machine(TdOptions(memory=memory, td=td))
    files = BootFiles(KernelFile("kernel", memoryview(b""), None, None))
    return BootFlow(machine.services, option, files, machine.firmware_image)


def test_a_step_is_repeated_as_long_as_the_option_wants() -> None:
    option = Repeats(2)
    flow = flow_with(option)
    answers = iter([OUT, OUT, SUCCESS])
    assert flow.run_step(LOAD_IMAGE, [Need("image", 4096)], lambda: next(answers)) is SUCCESS
    assert option.told == [("load_image", 1)]
    assert option.attempts == [1, 2]


def test_a_step_that_the_option_gives_up_ends_with_its_last_status() -> None:
    flow = flow_with(Repeats(1))
    assert flow.run_step(LOAD_IMAGE, [], lambda: OUT) is OUT
    assert flow.stage == LOAD_IMAGE


def test_no_option_can_make_a_step_repeat_for_ever() -> None:
    option = Repeats(10**9)
    assert flow_with(option).run_step(LOAD_IMAGE, [], lambda: OUT) is OUT
    assert len(option.attempts) < 100


def test_a_guest_that_hangs_repeats_nothing() -> None:
    option = Repeats(5)
    flow = flow_with(option)

    def hang() -> EfiStatus:
        flow.hang("it stands still")
        return OUT

    assert flow.run_step(LOAD_IMAGE, [], hang) is OUT
    assert option.attempts == []
    assert flow.messages == ["it stands still"]


def test_a_failure_of_an_earlier_attempt_is_forgotten() -> None:
    flow = flow_with(Repeats(1))
    answers = iter([OUT, SUCCESS])

    def action() -> EfiStatus:
        status = next(answers)
        return flow.fail("LoadImage", status, 1, "why") if status.is_error else status

    assert flow.run_step(LOAD_IMAGE, [], action) is SUCCESS
    assert flow.failure is None


def test_the_last_placement_of_a_name_is_the_one_that_goes() -> None:
    flow = flow_with(NoAccept())
    flow.place("heap", 0x1000, 0x1000, DATA)
    flow.place("heap", 0x3000, 0x1000, DATA)
    flow.mark_freed("heap")
    placed = flow.placed("heap")
    assert placed is not None
    assert placed.start == 0x1000
    flow.mark_freed("heap")
    assert flow.placed("heap") is None


def test_the_largest_free_piece_is_counted_between_the_limits() -> None:
    flow = flow_with(NoAccept(), td=False)
    services = flow.services
    whole = largest_free(services)
    assert largest_free(services, maximum=256 * MIB - 1, minimum=128 * MIB) == 128 * MIB
    assert largest_free(services, maximum=0xFFF) <= 0x1000
    flow.allocate("block", EfiAllocateType.AllocateAddress, DATA, MIB, 512 * MIB)
    assert largest_free(services) < whole


def test_a_shortage_is_told_in_three_numbers() -> None:
    flow = flow_with(NoAccept())
    text = shortage(flow.services, 600 * MIB)
    assert "600 MiB in one piece" in text
    assert "1.50 GiB of RAM is still unaccepted" in text
    plain = shortage(flow_with(NoAccept(), td=False).services, 600 * MIB)
    assert "no RAM is left to accept" in plain


def test_allocate_remembers_only_what_it_got() -> None:
    flow = flow_with(NoAccept())
    status, _ = flow.allocate("big", EfiAllocateType.AllocateAnyPages, DATA, GIB, 0)
    assert status is OUT
    status, start = flow.allocate("small", EfiAllocateType.AllocateAnyPages, DATA, 5000, 0)
    assert status is SUCCESS
    assert [(entry.what, entry.start, entry.size) for entry in flow.placements] == [("small", start, 8192)]


def test_only_what_is_lost_is_told() -> None:
    flow = flow_with(NoAccept())
    flow.lose(0, "nobody cares")
    assert (flow.lost_bytes, flow.messages) == (0, [])
    flow.lose(GIB, "nobody told it")
    assert flow.lost_bytes == GIB
    assert "1 GiB of RAM" in flow.messages[0]


def test_firmwares_own_calls_are_made_up_to_a_mark_and_not_twice() -> None:
    flow = flow_with(NoAccept())
    calls = (
        FirmwareCall(memory_type=EfiMemoryType.EfiBootServicesData, pages=4),
        FirmwareCall(do="image"),
        FirmwareCall(frees=0, pages=3, offset=1),
        FirmwareCall(memory_type=EfiMemoryType.EfiBootServicesData, pages=1),
    )
    player = FirmwarePlayer(flow.services, calls)

    def made() -> list[str]:
        return [
            record.service
            for record in flow.services.trace
            if record.service in ("AllocatePages", "FreePages") and record.caller == "firmware"
        ]

    player.run_to("file-buffer")  # a mark that this firmware does not have
    assert made() == []
    player.run_to("image")
    assert made() == ["AllocatePages"]
    player.run_to("image")
    assert made() == ["AllocatePages"]
    player.run_to_end()
    assert made() == ["AllocatePages", "FreePages", "AllocatePages"]


def test_firmwares_own_calls_are_the_same_where_somebody_hears_of_changes_to_the_map() -> None:
    calls = (
        *[FirmwareCall(memory_type=EfiMemoryType.EfiBootServicesData, pages=pages) for pages in (4, 1, 1, 0, 7)],
        FirmwareCall(memory_type=EfiMemoryType.EfiRuntimeServicesData, pages=2),
        FirmwareCall(memory_type=EfiMemoryType.EfiConventionalMemory, pages=2),
        FirmwareCall(frees=0, pages=2, offset=1),
        FirmwareCall(memory_type=EfiMemoryType.EfiBootServicesData, pages=1 << 40),
        FirmwareCall(memory_type=EfiMemoryType.EfiBootServicesData, pages=2, maximum=0x7FFFFFF),
    )
    alone, heard = flow_with(NoAccept()), flow_with(NoAccept())
    changes: list[int] = []
    heard.services.create_event(lambda: changes.append(1), EFI_EVENT_GROUP_MEMORY_MAP_CHANGE)
    for flow in (alone, heard):
        FirmwarePlayer(flow.services, calls).run_to_end()
    assert [record.as_dict() for record in alone.services.trace] == [
        record.as_dict() for record in heard.services.trace
    ]
    assert alone.services.core.memory_map == heard.services.core.memory_map
    assert len(changes) == 7

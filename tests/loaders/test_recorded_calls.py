"""The calls of real stubs and real GRUBs, one by one, against the model's: order, types, sizes, and answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tdvfsh.accept.on_demand import on_demand_named
from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.dxe.profile import profile_named
from tdvfsh.loaders.files import BootFiles
from tdvfsh.loaders.flow import BootFlow
from tdvfsh.loaders.grub import boot_linux
from tdvfsh.loaders.grub_legacy import GrubLegacyLinux
from tdvfsh.loaders.grub_memory import GRUB_2_06, GRUB_2_12_DEBIAN, Grub, GrubBuild
from tdvfsh.trace import TraceRecord
from tdvfsh.uefi.guids import EFI_LOADED_IMAGE_PROTOCOL_GUID
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS
from tests.conformance.recording import Event, read_events
from tests.conformance.replay import short_name
from tests.conformance.setup import machine_from
from tests.conformance.trace import replay_trace

RECORDINGS: Final = Path(__file__).parents[1] / "recordings" / "trace"
SERVICES: Final = ("AllocatePages", "AllocatePool", "GetMemoryMap", "FreePages", "FreePool")
CMDLINE: Final = "console=ttyS0,115200 earlyprintk=ttyS0,115200 efi=debug nokaslr ignore_loglevel panic=-1"
SMALL: Final = 0xDBC5B0
INSTALLER_12: Final = 0x830D800


@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("direct-*.log")), ids=lambda path: path.stem)
def test_the_stub_makes_every_call_that_the_real_one_made(path: Path) -> None:
    assert replay_trace(path).differences == []


@pytest.mark.parametrize(
    ("name", "initrd_size"),
    [("grub-2.12-trixie-6.12-small-4G", SMALL), ("grub-2.12-trixie-6.12-i137-512M", INSTALLER_12)],
)
def test_grub_2_12_and_the_stub_make_every_call_that_the_real_ones_made(
    name: str, initrd_size: int, opened: Callable[..., BootFiles]
) -> None:
    files = opened("6.12", initrd_size, cmdline=CMDLINE)
    expected, services = start_of_grub(name, "trixie")

    def boot(flow: BootFlow, grub: Grub) -> None:
        boot_linux(flow, GRUB_2_12_DEBIAN, grub)

    assert calls_of_grub(services, files, GRUB_2_12_DEBIAN, boot) == expected


def test_grub_2_06_makes_every_call_that_the_real_one_made(opened: Callable[..., BootFiles]) -> None:
    files = opened("6.1", SMALL, cmdline=CMDLINE)
    expected, services = start_of_grub("grub-2.06-bookworm-6.1-small-4G", "bookworm")

    def boot(flow: BootFlow, grub: Grub) -> None:
        GrubLegacyLinux(flow, grub).run()

    assert calls_of_grub(services, files, GRUB_2_06, boot) == expected


def start_of_grub(name: str, profile: str) -> tuple[list[str], BootServices]:
    """What GRUB and what it started asked until ExitBootServices, and a machine that stands where GRUB was started."""
    events = read_events(RECORDINGS / f"{name}.log")
    at_start = next(event for event in events if event.verb == "MAP" and "at-StartImage" in event.words)
    after = events[events.index(at_start) :]
    end = next(index for index, event in enumerate(after) if event.verb == "ExitBootServices")
    calls = [event_text(event) for event in after[:end] if event.verb in SERVICES]
    return calls, machine_from(after, at_start.descriptors, profile_named(profile))


def calls_of_grub(
    services: BootServices, files: BootFiles, build: GrubBuild, boot: Callable[[BootFlow, Grub], None]
) -> list[str]:
    """What the model asks from the moment GRUB runs until ExitBootServices."""
    firmware = LoadedImage(
        0, None, None, 0, 0, EfiMemoryType.EfiBootServicesCode, EfiMemoryType.EfiBootServicesData,
        0, 0, 0, None, memoryview(b""), 0, started=True,
    )  # fmt: skip
    handle = services.install_protocol_interface(None, EFI_LOADED_IMAGE_PROTOCOL_GUID, firmware).handle
    assert handle is not None
    flow = BootFlow(services, on_demand_named("none"), replace(files), handle)
    grub = Grub(flow, build)
    assert grub.start_heap() is SUCCESS
    boot(flow, grub)
    assert services.at_runtime
    records = services.trace.records
    end = next(index for index, record in enumerate(records) if record.service == "ExitBootServices")
    return [record_text(record) for record in records[:end] if record.service in SERVICES]


def event_text(event: Event) -> str:
    """A recorded call; where a pool buffer lies is left out, it may come from pages that were there before."""
    status = event.status
    match event.verb:
        case "AllocatePages":
            kind, memory_type, pages = event.number("t"), event.number("m"), event.number("n")
            return f"AllocatePages {kind} {memory_type:#x} {pages:#x} -> {status} {event.result('out'):#x}"
        case "AllocatePool":
            return f"AllocatePool {event.number('m'):#x} {event.number('size'):#x} -> {status}"
        case "GetMemoryMap":
            return f"GetMemoryMap {event.number('in'):#x} -> {status} {event.result('size'):#x}"
        case "FreePages":
            return f"FreePages {event.number('a'):#x} {event.number('n'):#x} -> {status}"
        case _:
            return f"{event.verb} -> {status}"


def record_text(record: TraceRecord) -> str:
    """A modelled call in the same words."""
    given, got = record.arguments, record.results
    assert record.status is not None
    status = short_name(record.status)
    match record.service:
        case "AllocatePages":
            kind = int(EfiAllocateType[str(given["allocate_type"])])
            memory_type = int(EfiMemoryType[str(given["memory_type"])])
            return f"AllocatePages {kind} {memory_type:#x} {given['pages']:#x} -> {status} {got['memory']:#x}"
        case "AllocatePool":
            memory_type = int(EfiMemoryType[str(given["pool_type"])])
            return f"AllocatePool {memory_type:#x} {given['size']:#x} -> {status}"
        case "GetMemoryMap":
            return f"GetMemoryMap {given['memory_map_size']:#x} -> {status} {got['memory_map_size']:#x}"
        case "FreePages":
            return f"FreePages {given['memory']:#x} {given['pages']:#x} -> {status}"
        case _:
            return f"{record.service} -> {status}"

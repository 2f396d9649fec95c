"""``python -m tests.conformance.trace LOG...``: what a real EFI stub, GRUB or Shell asked of firmware, call by call.

The calls are repeated from the log's first map, results and maps compared as by ``tests.conformance.dxe``. A tracer
sees calls through the boot-services table only: what firmware's own drivers and core take and give meanwhile is not in
the log, so which block of a BootServicesData pool's page a call gets is not compared once they have run; where its
pages lie is.

For ``direct-*`` logs our model of the EFI stub runs too, on a kernel and an initrd of the same sizes, and must make the
same calls in the same order, with the same types and sizes, and get the same answers.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from tdvfsh.accept.on_demand import on_demand_named
from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.dxe.memory.memory_map import CONVENTIONAL
from tdvfsh.dxe.memory.pool import POOL_HEAD_SIZE
from tdvfsh.dxe.profile import FirmwareProfile, profile_named
from tdvfsh.images.make_initrd import make_initrd
from tdvfsh.images.make_kernel import make_kernel
from tdvfsh.loaders.efi_stub import run_efi_stub
from tdvfsh.loaders.files import BootFiles
from tdvfsh.loaders.flow import BootFlow
from tdvfsh.loaders.publish import publish_initrd
from tdvfsh.trace import TraceRecord
from tdvfsh.uefi.guids import EFI_LOADED_IMAGE_PROTOCOL_GUID
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS
from tdvfsh.units import MIB, PAGE_SHIFT, PAGE_SIZE, pages_for
from tests.conformance.image_replay import ImageReplay
from tests.conformance.inputs import FIRST_WITH_UNACCEPTED, version_of_package
from tests.conformance.recording import Event, first_map, read_events
from tests.conformance.replay import FIRMWARE_POOLS, is_small, short_name
from tests.conformance.replay_command import replay_command
from tests.conformance.setup import choose_profile, machine_from
from tests.conformance.tally import Tally

_BS_DATA: Final = EfiMemoryType.EfiBootServicesData
_SERVICES: Final = ("AllocatePages", "FreePages", "AllocatePool", "FreePool", "GetMemoryMap", "ExitBootServices")
_HEADER: Final = re.compile(r"^# (kernel|initrd|cmdline) (.*)$", re.MULTILINE)

_TYPES: Final = {int(memory_type): memory_type for memory_type in EfiMemoryType}
_USUAL_BUFFER: Final = 64 * MIB

UNKNOWN_FILE: Final = "the size of the file that LoadImage read, and with it the image's place"


class TraceReplay(ImageReplay):
    """A replay of what a tracer saw."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.handlers |= {
            "LoadImage-enter": self.enter,
            "StartImage-enter": self.enter,
            "ExitBootServices": self.leave_boot_services,
        }

    def enter(self, event: Event) -> None:
        """From here on firmware's own code runs between the calls that the tracer sees."""
        self._files_were_read = True

    def load_image(self, event: Event) -> None:
        """``LoadImage -> STATUS``: the ``IMAGE`` line says where it went."""
        self.tally.skip(UNKNOWN_FILE)

    def image(self, event: Event) -> None:
        """``IMAGE base= size= code=``: below a file buffer that is gone again."""
        core = self.core
        base, pages, code = event.number("base"), pages_for(event.number("size")), event.number("code")
        held = core.memory_map.find(base)
        top = base + (pages << PAGE_SHIFT)
        if held is None or held.memory_type != CONVENTIONAL or held.end < top:
            self.tally.compare(event.line, event.text, "no room there")
            return
        buffer = (held.end - top) >> PAGE_SHIFT
        core.memory_map.convert_pages(top, buffer, _BS_DATA)
        found = core.pages.find_free_pages((1 << 64) - 1, pages, code)
        core.memory_map.convert_pages(top, buffer, CONVENTIONAL)
        core.memory_map.convert_pages(base, pages, code)
        if found == base:
            self.tally.skip(UNKNOWN_FILE)
        else:
            self.tally.compare(event.line, f"{base:#x}", f"{found:#x}")

    def allocate_pool(self, event: Event) -> None:
        """As elsewhere, but the BootServicesData pool is shared with code that the tracer does not see.

        Which of the pool's blocks, and whether a page is left to cut from, may differ; where a new page lies may not.
        """
        memory_type, size = event.number("m"), event.number("size")
        buffer = event.result("out")
        pool, memory_map = self.core.pool, self.core.memory_map
        if not self._files_were_read or memory_type != _BS_DATA or event.status != "SUCCESS" or not is_small(size):
            super().allocate_pool(event)
            return
        block, head = buffer - POOL_HEAD_SIZE, pool.next_block(memory_type, size)
        if block == head:
            super().allocate_pool(event)
        elif pool.is_free(block):
            pool.adopt_buffer(memory_type, buffer, size)
            self.tally.skip(FIRMWARE_POOLS)
        elif block % PAGE_SIZE == 0 and (head is not None or pool.owns_page(memory_type, buffer)):
            if pool.owns_page(memory_type, buffer):
                pool.forget_pages(block, block + PAGE_SIZE)
                memory_map.convert_pages(block, 1, CONVENTIONAL)
            while head is not None:
                pool.forget_free_block(head)
                head = pool.next_block(memory_type, size)
            if self.core.pages.find_free_pages((1 << 64) - 1, 1, memory_type) == block:
                pool.allocate_pool(memory_type, size)
                self.tally.skip(FIRMWARE_POOLS)
            else:
                super().allocate_pool(event)
        elif pool.owns_page(memory_type, buffer):
            pool.adopt_buffer(memory_type, buffer, size)
            self.tally.skip(FIRMWARE_POOLS)
        else:
            super().allocate_pool(event)

    def leave_boot_services(self, event: Event) -> None:
        """``ExitBootServices keymatch=yes``, then ``ExitBootServices -> STATUS``."""
        if event.status is None:
            self._stale_key = self.core.memory_map.key
            return
        status = self.services.exit_boot_services(self._self, self._stale_key)
        self.tally.compare(event.line, event.status, short_name(status))


def replay_trace(path: Path, profile_name: str | None = None) -> Tally:
    """Repeat one trace and count; for ``direct-*`` the stub's model as well."""
    tally = Tally(path.stem)
    events = read_events(path)
    start = first_map(events)
    if start is None:
        tally.compare(1, "a MAP block", "none")
        return tally
    profile = profile_named(profile_name) if profile_name else choose_profile(events, start.descriptors)
    after = events[events.index(start) :]
    TraceReplay(machine_from(after, start.descriptors, profile), tally, ()).run(after)
    if path.name.startswith("direct-"):
        _compare_stub(path, events, start, profile, tally)
    return tally


def _compare_stub(path: Path, events: Sequence[Event], start: Event, profile: FirmwareProfile, tally: Tally) -> None:
    """Run our stub from the same map and compare its calls with the log's, one by one."""
    header = dict(_HEADER.findall(path.read_text(encoding="utf-8")))
    own = next(event for event in events if event.verb == "self")
    calls = [event for event in events if event.verb in _SERVICES and event.status is not None]
    after = events[events.index(start) :]
    services = machine_from(after, start.descriptors, profile)
    with tempfile.TemporaryDirectory() as folder:
        kernel, initrds = _make_files(Path(folder), header, own, calls)
        with open_boot_files(kernel, initrds, cmdline=header.get("cmdline", "")) as opened:
            files = _of_version(opened.boot, header)
            flow = BootFlow(services, on_demand_named("none"), files, 0)
            code, data = (_TYPES[own.number(name)] for name in ("code", "data"))
            image = LoadedImage(
                0, None, None, own.number("base"), own.number("size"), code, data,
                own.number("base"), pages_for(own.number("size")), 0, None, memoryview(b""), 0, started=True,
            )  # fmt: skip
            handle = services.install_protocol_interface(None, EFI_LOADED_IMAGE_PROTOCOL_GUID, image).handle
            assert handle is not None
            if initrds:
                publish_initrd(flow, flow.files.initrd_pieces())
            image.load_options = " ".join([header.get("cmdline", ""), *(["initrd=initrd"] if initrds else [])])
            first = len(services.trace)
            run_efi_stub(flow, handle)
            ours = [
                _described(record)
                for record in services.trace.records[first:]
                if record.service in _SERVICES and record.caller == "stub"
            ]
    for index, event in enumerate(calls):
        tally.compare(event.line, _recorded(event), ours[index] if index < len(ours) else "no further call")
    for extra in ours[len(calls) :]:
        tally.compare(events[-1].line, "no further call", extra)


def _make_files(folder: Path, header: dict[str, str], own: Event, calls: Sequence[Event]) -> tuple[Path, list[Path]]:
    """A kernel whose image and buffer have the sizes of the log's, and an initrd of its size."""
    buffer = next(
        (
            event.number("n") << PAGE_SHIFT
            for event in calls
            if event.verb == "AllocatePages" and event.number("t") == EfiAllocateType.AllocateAddress
        ),
        _USUAL_BUFFER,  # the log of a kernel that found no place does not say what it looked for
    )
    version = version_of_package(header.get("kernel", ""))
    knows = version is None or version >= FIRST_WITH_UNACCEPTED
    kernel = folder / "kernel"
    image = own.number("size")
    make_kernel(kernel, image - (image >> 3), buffer, image, buffer, unaccepted_memory=knows)
    size = re.search(r"size=(0x[0-9A-Fa-f]+)", header.get("initrd", ""))
    if size is None or int(size[1], 0) == 0:
        return kernel, []
    initrd = folder / "initrd"
    make_initrd(initrd, int(size[1], 0))
    return kernel, [initrd]


def _of_version(files: BootFiles, header: dict[str, str]) -> BootFiles:
    """The same files with the version of the log's kernel in the setup header: small habits of the stub go with it."""
    version = version_of_package(header.get("kernel", ""))
    if version is None or files.kernel.linux is None:
        return files
    linux = replace(files.kernel.linux, kernel_version=f"{version[0]}.{version[1]}.0")
    return replace(files, kernel=replace(files.kernel, linux=linux))


def _recorded(event: Event) -> str:
    match event.verb:
        case "AllocatePages":
            call = f"{event.number('t')} type {event.number('m'):#x} pages {event.number('n'):#x}"
            return f"AllocatePages {call} -> {event.status} {event.result('out'):#x}"
        case "AllocatePool":
            call = f"type {event.number('m'):#x} size {event.number('size'):#x}"
            return f"AllocatePool {call} -> {event.status} {event.result('out'):#x}"
        case "FreePool":
            return f"FreePool {event.number('p'):#x} -> {event.status}"
        case "FreePages":
            return f"FreePages {event.number('a'):#x} pages {event.number('n'):#x} -> {event.status}"
        case "GetMemoryMap":
            return f"GetMemoryMap {event.number('in'):#x} -> {event.status} {event.result('size'):#x}"
        case _:
            return f"{event.verb} -> {event.status}"


def _described(record: TraceRecord) -> str:
    arguments, results = record.arguments, record.results
    status = short_name(record.status if record.status is not None else SUCCESS)
    match record.service:
        case "AllocatePages":
            number = int(EfiAllocateType[str(arguments["allocate_type"])])
            call = f"{number} type {_type(arguments['memory_type'])} pages {_number(arguments['pages']):#x}"
            return f"AllocatePages {call} -> {status} {_number(results['memory']):#x}"
        case "AllocatePool":
            call = f"type {_type(arguments['pool_type'])} size {_number(arguments['size']):#x}"
            return f"AllocatePool {call} -> {status} {_number(results['buffer']):#x}"
        case "FreePool":
            return f"FreePool {_number(arguments['buffer']):#x} -> {status}"
        case "FreePages":
            return f"FreePages {_number(arguments['memory']):#x} pages {_number(arguments['pages']):#x} -> {status}"
        case "GetMemoryMap":
            size = _number(results.get("memory_map_size"))
            return f"GetMemoryMap {_number(arguments['memory_map_size']):#x} -> {status} {size:#x}"
        case _:
            return f"{record.service} -> {status}"


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _type(value: object) -> str:
    name = str(value)
    return name if name.startswith("0x") else f"{int(EfiMemoryType[name]):#x}"


def main(arguments: Sequence[str]) -> int:
    """The command; 1 where any line differs."""
    return replay_command("tests.conformance.trace", __doc__, "LOG", replay_trace, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

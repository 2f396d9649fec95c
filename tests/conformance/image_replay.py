"""Repeating the image services' part of a recording: LoadImage by name, StartImage, UnloadImage, ExitBootServices.

Reading a file makes the file system driver and the image services take and give small pools that no line shows. Whether
a page went with them shows in the addresses and in the map key afterwards: of the few ways it can have gone, the one
that fits is taken, and where nothing but such a page explains an address the line does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.handles import HandleDatabase
from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.dxe.memory.memory_map import CONVENTIONAL
from tdvfsh.dxe.memory.pool import BLOCK_SIZES
from tdvfsh.dxe.protocols import FileContents
from tdvfsh.trace import Trace
from tdvfsh.uefi.device_path import DevicePath, FilePath, VenHw
from tdvfsh.uefi.guids import (
    EFI_DEVICE_PATH_PROTOCOL_GUID,
    EFI_LOADED_IMAGE_PROTOCOL_GUID,
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID,
)
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SHIFT, PAGE_SIZE, pages_for
from tests.conformance.recording import Event
from tests.conformance.replay import FIRMWARE_POOLS, Replay, short_name
from tests.conformance.tally import Tally

_BS_DATA: Final = EfiMemoryType.EfiBootServicesData
_RT_DATA: Final = EfiMemoryType.EfiRuntimeServicesData
_ANY: Final = EfiAllocateType.AllocateAnyPages
_BLOCK_ENDS: Final = frozenset({"LoadImage", "KEY", "MAP", "EBS"})
_BOGUS_HANDLE: Final = 0x123456

REAL_IMAGE: Final = "a distribution's own image (r-*), which this project may not carry"
NO_IMAGE: Final = "an image that the images folder does not hold"
PROGRAM: Final = "what the loaded program itself printed or returned"


class _Pages(NamedTuple):
    """Pages that unseen pools take during a LoadImage: before and after the image's own, and those that stay."""

    before: int = 0
    after: int = 0
    kept: int = 0


_WAYS: Final = tuple(_Pages(*way) for way in product(range(3), range(3), range(2)) if way[2] <= way[0] + way[1])


class _Volume:
    """The application's file system, as far as it loads from it by path."""

    def __init__(self, child: memoryview | None) -> None:
        self._files = {"\\text.txt": memoryview(b"no image\n"), "\\zero.bin": memoryview(b"")}
        if child is not None:
            self._files["\\img\\s00-child.efi"] = child

    def read_file(self, path: str) -> FileContents:
        """A file by its path, in any case of letters; forward slashes are not separators."""
        view = self._files.get("\\" + path.lower().lstrip("\\"))
        return FileContents(EfiStatus.EFI_NOT_FOUND, None) if view is None else FileContents(SUCCESS, view)


class ImageReplay(Replay):
    """A replay that knows the image services too.

    Args:
        services: The machine.
        tally: Where results are counted.
        folders: Where images are looked for by name, in this order.
    """

    def __init__(self, services: BootServices, tally: Tally, folders: Sequence[Path]) -> None:
        super().__init__(services, tally)
        self._folders = folders
        self._previous = _Pages()
        self._image: int | None = None
        self._stale_key = 0
        self._files_were_read = False
        self._spare_pages = 1
        self._volume_path = DevicePath((VenHw(EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID),))
        handles = services.handles
        self._self = self._own_image(handles)
        device = handles.install_protocol_interface(None, EFI_DEVICE_PATH_PROTOCOL_GUID, self._volume_path).handle
        assert device is not None
        self._device = device
        volume = _Volume(self._file("S00-child.efi"))
        handles.install_protocol_interface(device, EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID, volume)
        self.handlers |= {
            "LoadImage": self.load_image,
            "IMAGE": self.image,
            "StartImage": self.start_image,
            "UnloadImage": self.unload_image,
            "EBS": self.exit_boot_services,
            "key": self.key_after_failure,
            "after:": self.after_exit,
        }

    @staticmethod
    def _own_image(handles: HandleDatabase) -> int:
        code, data = EfiMemoryType.EfiLoaderCode, EfiMemoryType.EfiLoaderData
        own = LoadedImage(0, None, None, 0, 0, code, data, 0, 0, 0, None, memoryview(b""), 0, started=True)
        handle = handles.install_protocol_interface(None, EFI_LOADED_IMAGE_PROTOCOL_GUID, own).handle
        assert handle is not None
        return handle

    def _file(self, name: str) -> memoryview | None:
        for folder in self._folders:
            if (folder / name).is_file():
                return memoryview((folder / name).read_bytes())
        return None

    def run(self, events: Sequence[Event]) -> None:
        """Repeat every event; a LoadImage from a buffer goes with the lines up to its map key as one block."""
        index = 0
        while index < len(events):
            event = events[index]
            if event.verb == "LoadImage" and "buf" in event.given:
                end = index + 1
                while end < len(events) and events[end].verb not in _BLOCK_ENDS:
                    end += 1
                end += end < len(events) and events[end].verb == "KEY"
                self._block(events[index:end])
                index = end
            else:
                super().run([event])
                index += 1

    # ---- one image of the folder --------------------------------------------------------------------------------

    def _block(self, block: Sequence[Event]) -> None:
        """``LoadImage NAME size= buf=`` and what follows, up to the map key."""
        first = block[0]
        name = first.words[0]
        source = self._file(name)
        self._files_were_read = True
        if name.startswith("r-") or source is None:
            if name.startswith("r-"):
                self.tally.aside[REAL_IMAGE] += len(block)
            else:
                for _ in block:
                    self.tally.skip(NO_IMAGE)
            return
        # The application reads each file into LoaderData pages, one more than the file needs.
        pages = (first.number("size") >> PAGE_SHIFT) + 1 + bool(first.number("size") % PAGE_SIZE)
        explained = self._reveal(first.number("buf"), pages, EfiMemoryType.EfiLoaderData)
        buffer = self.services.allocate_pages(_ANY, EfiMemoryType.EfiLoaderData, pages, 0).memory
        best = self._best_way(block, source)
        image = next((event for event in block if event.verb == "IMAGE"), None)
        if image is not None and self._try(block, source, best):
            explained |= self._release_for(block, source) or self._reveal(
                image.number("base"), pages_for(image.number("size")), image.number("code")
            )
            best = self._best_way(block, source)
        if explained:
            self.tally.skip(FIRMWARE_POOLS)
        self._previous = best
        self._perform(block, source, best, first_counts=not explained)
        self.services.free_pages(buffer, pages)

    def _release_for(self, block: Sequence[Event], source: memoryview) -> bool:
        """Whether the block comes out right once one of the pages taken unseen is free again; it is then."""
        for page in sorted(self.hidden_pages, reverse=True):
            self.core.pages.free_pages(page, 1)
            if not self._try(block, source, self._best_way(block, source)):
                self.hidden_pages.discard(page)
                return True
            self.core.memory_map.convert_pages(page, 1, _BS_DATA)
        return False

    def _best_way(self, block: Sequence[Event], source: memoryview) -> _Pages:
        return min(_WAYS, key=lambda way: (self._try(block, source, way), way != self._previous, way.kept, sum(way)))

    def _try(self, block: Sequence[Event], source: memoryview, way: _Pages) -> int:
        """How many lines would differ if unseen pools went this way; on a copy of the machine."""
        real, tally, image, hidden = self.services, self.tally, self._image, self.hidden_pages.copy()
        trial = BootServices(real.core.copy(), real.td, Trace())
        self.services, self.tally = trial, Tally("trial")
        try:
            self._perform(block, source, way)
            return len(self.tally.differences)
        finally:
            self.services, self.tally, self._image, self.hidden_pages = real, tally, image, hidden

    def _perform(self, block: Sequence[Event], source: memoryview, way: _Pages, first_counts: bool = True) -> None:
        services = self.services
        pages = services.core.pages
        key = services.core.memory_map.key
        record = self._unseen_block(source)
        taken = [pages.allocate_pool_pages(_BS_DATA, 1) for _ in range(way.before)]
        runs = any(event.verb == "CHILD" for event in block)
        ended = next((event.status for event in block if event.verb == "StartImage" and event.status), None)
        services.images.program_for = lambda image: (lambda handle: _status(ended)) if runs else None
        result = services.load_image(False, self._self, None, source)
        self._image = result.handle
        taken += [pages.allocate_pool_pages(_BS_DATA, 1) for _ in range(way.after)]
        got = f"{short_name(result.status)} {'set' if result.handle is not None else 'untouched'}"
        expected = f"{block[0].status} {block[0].results.get('h')}"
        if first_counts or expected != got:
            self.tally.compare(block[0].line, expected, got)
        for event in block[1:]:
            if event.verb == "KEY":
                continue
            handler = self.handlers.get(event.verb)
            if handler is not None:
                self._call(handler.__name__, event)
        if self._image is not None and services.images.loaded_image(self._image) is not None:
            services.unload_image(self._image)
        for page in reversed(taken[way.kept :]):
            services.core.pages.free_pages(page, 1)
        self.hidden_pages.update(taken[: way.kept])
        if record in services.core.pool.free_blocks(_BS_DATA):
            services.core.pool.forget_free_block(record)
        last = block[-1]
        if last.verb == "KEY":
            self.tally.compare(last.line, last.number("delta"), services.core.memory_map.key - key)
        self.key_before = services.core.memory_map.key

    def _call(self, name: str, event: Event) -> None:
        getattr(self, name)(event)

    def _unseen_block(self, source: memoryview) -> int:
        """A free block for LoadImage's own record, so that only the chosen way moves pages."""
        pool = self.services.core.pool
        largest = max(
            (entry for entry in self.services.core.memory_map if entry.memory_type == _BS_DATA),
            key=lambda entry: entry.end - entry.start,
        )
        block = largest.start + PAGE_SIZE + BLOCK_SIZES[0]
        pool.adopt_free_block(_BS_DATA, block, BLOCK_SIZES[3])
        if pool.next_block(_RT_DATA, BLOCK_SIZES[1]) is None:
            pool.adopt_free_blocks(_RT_DATA, largest.start + 2 * PAGE_SIZE)
        return block

    # ---- pages that vanish between calls ----------------------------------------------------------------------------

    def _reveal(self, recorded: int, pages: int, memory_type: int) -> bool:
        """Let firmware have taken, or given back, the pages without which ``recorded`` cannot be explained.

        Returns whether any had to move.
        """
        core = self.core
        moved = False
        end = recorded + (pages << PAGE_SHIFT)
        for page in sorted(self.hidden_pages):
            if recorded <= page < end:
                core.pages.free_pages(page, 1)
                self.hidden_pages.discard(page)
                moved = True
        for _ in range(1 << 8):
            predicted = core.pages.find_free_pages((1 << 64) - 1, pages, memory_type)
            if predicted <= recorded:
                break
            top = predicted + (pages << PAGE_SHIFT) - PAGE_SIZE
            if core.memory_map.convert_pages(top, 1, _BS_DATA) is not SUCCESS:
                break
            self.hidden_pages.add(top)
            moved = True
        return moved

    # ---- single lines -------------------------------------------------------------------------------------------

    def load_image(self, event: Event) -> None:
        """``LoadImage case -> STATUS h=``: the cases of the test application's argument group."""
        label = event.label
        self._files_were_read = True
        if self._image is not None and self.services.images.loaded_image(self._image) is not None:
            self.services.unload_image(self._image)  # the application does so without a word
        source: memoryview | None = None
        path: DevicePath | None = None
        parent: int | None = self._self
        has_image_handle = True
        policy = "bootpolicy1" in label
        child = self._file("S00-child.efi")
        match label.split()[:2]:
            case ["null", "parent"]:
                parent, source = None, child
            case ["null", "handle"]:
                has_image_handle, source = False, child
            case ["bogus", "parent"]:
                parent, source = _BOGUS_HANDLE, child
            case ["device", "parent"]:
                parent, source = self._device, child
            case ["src", "size0"]:
                source = memoryview(b"")
            case ["zeros64"]:
                source = memoryview(bytes(64))
            case ["zeros1"]:
                source = memoryview(bytes(1))
            case _ if label.startswith("path="):
                path = self._path(label.removeprefix("path="))
            case _:
                pass
        self.core.pool.adopt_free_blocks(_BS_DATA, self._spare_page())  # small pools of the way there move no page
        result = self.services.load_image(policy, parent, path, source, has_image_handle)
        got = f"{short_name(result.status)} {'set' if result.handle is not None else 'untouched'}"
        self.tally.compare(event.line, f"{event.status} {event.results.get('h')}", got)
        self._image = result.handle

    def _spare_page(self) -> int:
        largest = max(
            (entry for entry in self.core.memory_map if entry.memory_type == _BS_DATA),
            key=lambda entry: entry.end - entry.start,
        )
        self._spare_pages += 1
        return largest.start + self._spare_pages * PAGE_SIZE

    def _path(self, case: str) -> DevicePath:
        device = self._volume_path
        match case:
            case "end":
                return DevicePath(())
            case "nosuch file":
                return device / FilePath("\\nosuch.efi")
            case "good file":
                return device / FilePath("\\img\\S00-child.efi")
            case "other case":
                return device / FilePath("\\IMG\\s00-CHILD.EFI")
            case "relative":
                return device / FilePath("img\\S00-child.efi")
            case "slashes":
                return device / FilePath("/img/S00-child.efi")
            case "empty file":
                return device / FilePath("\\zero.bin")
            case "text file":
                return device / FilePath("\\text.txt")
            case _:
                return device

    def image(self, event: Event) -> None:
        """``IMAGE base= size= code= data= dev= fp=`` of the image loaded last."""
        image = self.services.images.loaded_image(self._image)
        if image is None:
            self.tally.compare(event.line, event.text, "no image")
            return
        if image.image_base != event.number("base") and image.device_handle is not None:
            self._move_image(event)
            return
        got = {
            "base": f"{image.image_base:#X}".replace("X", "x"),
            "size": f"{image.image_size:#X}".replace("X", "x"),
            "code": f"{image.image_code_type:#x}",
            "data": f"{image.image_data_type:#x}",
            "dev": "set" if image.device_handle is not None else "null",
            "fp": "set" if image.file_path is not None else "null",
            "parent": "me" if image.parent_handle == self._self else "other",
        }
        expected = {name: event.given.get(name) for name in got}
        self.tally.compare(event.line, expected, got)

    def _move_image(self, event: Event) -> None:
        """An image that was read from a file: load it again below the pages that reading took."""
        self.services.unload_image(self._image)
        if self._reveal(event.number("base"), pages_for(event.number("size")), event.number("code")):
            path = self._path("good file")
            self._image = self.services.load_image(False, self._self, path).handle
            self.tally.skip(FIRMWARE_POOLS)
        else:
            self.tally.compare(event.line, event.text, "another place")

    def start_image(self, event: Event) -> None:
        """``StartImage case -> STATUS``."""
        status = self.services.start_image(self._handle_of(event.label)).status
        self.tally.compare(event.line, event.status, short_name(status))

    def unload_image(self, event: Event) -> None:
        """``UnloadImage case -> STATUS``."""
        handle = self._handle_of(event.label)
        status = self.services.unload_image(handle)
        self.tally.compare(event.line, event.status, short_name(status))

    def _handle_of(self, label: str) -> int | None:
        if label.startswith("NULL"):
            return None
        if label.startswith("device"):
            return self._device
        if label.startswith("bogus"):
            return _BOGUS_HANDLE
        if label.startswith("self"):
            return self._self
        return self._image

    # ---- the end ------------------------------------------------------------------------------------------------

    def allocate_pages(self, event: Event) -> None:
        """As in a plain replay; after files were read, unseen pages are looked for first."""
        self._stale_key = self.core.memory_map.key
        if (
            self._files_were_read
            and event.status == "SUCCESS"
            and event.given.get("t") == "0x0"
            and self._reveal(event.result("out"), event.number("n"), event.number("m"))
        ):
            result = self.services.allocate_pages(_ANY, event.number("m"), event.number("n"), 0)
            if result.memory == event.result("out"):
                self.tally.skip(FIRMWARE_POOLS)
            else:
                self.tally.compare(event.line, event.result("out"), result.memory)
            return
        super().allocate_pages(event)

    def map(self, event: Event) -> None:
        """As in a plain replay; after files were read, BootServicesData pages may have moved unseen."""
        if self._files_were_read:
            for entry in event.descriptors:
                self._settle_pages(entry.memory_type, entry.physical_start, entry.physical_end)
        super().map(event)

    def _settle_pages(self, memory_type: int, start: int, end: int) -> None:
        memory_map = self.core.memory_map
        for known in [known for known in memory_map if known.start < end and start < known.end]:
            low, high = max(known.start, start), min(known.end, end)
            pages = (high - low) >> PAGE_SHIFT
            if memory_type == _BS_DATA and known.memory_type == CONVENTIONAL:
                memory_map.convert_pages(low, pages, _BS_DATA)
                self.tally.skip(FIRMWARE_POOLS)
            elif memory_type == CONVENTIONAL and known.memory_type == _BS_DATA:
                memory_map.convert_pages(low, pages, CONVENTIONAL)
                self.tally.skip(FIRMWARE_POOLS)

    def exit_boot_services(self, event: Event) -> None:
        """``EBS case -> STATUS``."""
        key = self.core.memory_map.key
        if "stale" in event.label:
            key = self._stale_key
        elif "good" not in event.label:
            key = 0 if "key 0" in event.label else key + 0x1000
        status = self.services.exit_boot_services(self._self, key)
        self.tally.compare(event.line, event.status, short_name(status))

    def key_after_failure(self, event: Event) -> None:
        """``key after failed EBS changed``: against the key that was stale."""
        changed = "changed" if self.core.memory_map.key != self._stale_key else "same"
        self.tally.compare(event.line, event.words[-1], changed)

    def after_exit(self, event: Event) -> None:
        """``after: ST->ConOut=0x0 BootServices=0x0``: the system table's fields are cleared."""
        gone = all(value == "0x0" for value in event.given.values())
        self.tally.compare(event.line, gone, self.services.at_runtime)


def _status(name: str | None) -> EfiStatus:
    return SUCCESS if name is None else EfiStatus.from_name("EFI_" + name)

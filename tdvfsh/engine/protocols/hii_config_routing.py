"""EFI_HII_CONFIG_ROUTING_PROTOCOL: configuration strings go to the drivers of programs that own them.

A driver is found by the device path in the string, and is asked by its EFI_HII_CONFIG_ACCESS_PROTOCOL. The firmware has
no driver with forms of its own, so that ExportConfig finds nothing before a program brings one. Defaults that stand in
forms are not added to what a driver answers, and variables that forms name are not read in the driver's place.

Source: UEFI 2.10 35.4; edk2 MdeModulePkg/Universal/HiiDatabaseDxe/ConfigRouting.c.
"""

from __future__ import annotations

from contextlib import ExitStack
from itertools import zip_longest

from tdvfsh.engine.abi.buffers import pool_buffer
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.device_paths import device_path_size, parse_device_path
from tdvfsh.engine.abi.interfaces import GuestInterface
from tdvfsh.engine.abi.service_table import service, status_of
from tdvfsh.engine.protocols import hii_config_strings as strings
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.guids import EFI_DEVICE_PATH_PROTOCOL_GUID, EFI_HII_CONFIG_ACCESS_PROTOCOL_GUID
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_EXTRACT, _ROUTE = 0, 8
_CHARACTER: Final = 2
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER
_NO_MEMORY: Final = EfiStatus.EFI_OUT_OF_RESOURCES


class HiiConfigRouting:
    """The protocol.

    Args:
        context: Guest memory, and the way into guest code.
    """

    def __init__(self, context: GuestContext) -> None:
        self._context = context
        self._ram = context.ram

    def structure(self) -> int:
        """Address of the protocol's structure."""
        return self._context.interfaces.structure(
            [
                self.extract_config, self.export_config, self.route_config, self.block_to_config,
                self.config_to_block, self.get_alt_config,
            ]
        )  # fmt: skip

    # ---- drivers ------------------------------------------------------------------------------------------------

    def _driver(self, text: str) -> tuple[EfiStatus, int | None]:
        """The handle that a string is for."""
        status, packed = strings.device_path_of(text)
        if status is not SUCCESS:
            return status, None
        with ExitStack() as stack:
            path = parse_device_path(self._ram, self._put(stack, packed))
        status, handle, _ = self._context.services.handles.locate_device_path(EFI_DEVICE_PATH_PROTOCOL_GUID, path)
        return status, handle

    def _access(self, handle: int | None) -> int:
        """Address of a driver's protocol, or 0."""
        if handle is None:
            return 0
        found = self._context.services.handles.protocols(handle).get(EFI_HII_CONFIG_ACCESS_PROTOCOL_GUID)
        return found.address if isinstance(found, GuestInterface) else 0

    def _put(self, stack: ExitStack, data: bytes) -> int:
        address = self._context.heap.allocate(len(data))
        stack.callback(self._context.heap.free, address)
        self._ram.write(address, data)
        return address

    def _extract(self, access: int, text: str | None) -> tuple[EfiStatus, int, str]:
        """A driver's ExtractConfig(): status, how far it came, and what it answers."""
        with ExitStack() as stack:
            request = 0 if text is None else self._put(stack, _encoded(text))
            out = self._put(stack, bytes(16))
            function = self._ram.u64(access + _EXTRACT)
            status = status_of(self._context.call(function, access, request, out, out + 8))
            results = self._ram.u64(out + 8)
            progress = self._reached(request, text or "", self._ram.u64(out))
            answer = self._ram.utf16(results) if results and not status.is_error else ""
            if results and not status.is_error:
                self._context.services.free_pool(results)
        return status, progress, answer

    def _route(self, access: int, text: str) -> tuple[EfiStatus, int]:
        """A driver's RouteConfig(): status, and how far it came."""
        with ExitStack() as stack:
            configuration, out = self._put(stack, _encoded(text)), self._put(stack, bytes(8))
            function = self._ram.u64(access + _ROUTE)
            status = status_of(self._context.call(function, access, configuration, out))
            return status, self._reached(configuration, text, self._ram.u64(out))

    @staticmethod
    def _reached(address: int, text: str, progress: int) -> int:
        """Characters before a pointer into a string; 0 for one elsewhere."""
        offset = (progress - address) // _CHARACTER
        return offset if 0 <= offset <= len(text) else 0

    def _progress(self, pointer: int, text: int, characters: int) -> None:
        self._ram.put_u64(pointer, text + _CHARACTER * characters)

    def _answer(self, pointer: int, text: str) -> EfiStatus:
        """Store the address of a text, which the caller frees."""
        address = pool_buffer(self._context, _encoded(text))
        self._ram.put_u64(pointer, address)
        return SUCCESS if address else _NO_MEMORY

    # ---- services -----------------------------------------------------------------------------------------------

    @service("EFI_HII_CONFIG_ROUTING_PROTOCOL.ExtractConfig", "qqqq")
    def extract_config(self, this: int, request: int, progress: int, results: int) -> EfiStatus:
        """Ask drivers for their configuration."""
        if not progress or not results:
            return _INVALID
        self._ram.put_u64(progress, request)
        text = self._ram.utf16(request) if request else ""
        if not text.startswith("GUID="):
            return _INVALID
        self._ram.put_u64(results, 0)
        answers = []
        for at, part in strings.parts(text):
            self._progress(progress, request, max(at - 1, 0))
            status, handle = self._driver(part)
            if status is not SUCCESS:
                return status
            wrong = strings.invalid_request(part)
            if wrong is not None:
                self._progress(progress, request, at + wrong)
                return _INVALID
            access = self._access(handle)
            if not access:
                return EfiStatus.EFI_UNSUPPORTED
            status, reached, answer = self._extract(access, part)
            if status.is_error:
                self._progress(progress, request, at + reached)
                return status
            answers.append(answer)
            self._progress(progress, request, at + len(part))
        return self._answer(results, "&".join(answers))

    @service("EFI_HII_CONFIG_ROUTING_PROTOCOL.ExportConfig", "qq")
    def export_config(self, this: int, results: int) -> EfiStatus:
        """The configuration of all drivers; one that does not answer is left out."""
        if not results:
            return _INVALID
        handles = list(self._context.services.handles.locate_handles(EFI_HII_CONFIG_ACCESS_PROTOCOL_GUID))
        if not handles:
            return EfiStatus.EFI_NOT_FOUND
        answers = []
        for access in filter(None, map(self._access, handles)):
            status, _, answer = self._extract(access, None)
            if not status.is_error:
                answers.append(answer)
        return self._answer(results, "&".join(answers))

    @service("EFI_HII_CONFIG_ROUTING_PROTOCOL.RouteConfig", "qqq")
    def route_config(self, this: int, configuration: int, progress: int) -> EfiStatus:
        """Give drivers their configuration."""
        if not progress:
            return _INVALID
        self._ram.put_u64(progress, configuration)
        text = self._ram.utf16(configuration) if configuration else ""
        if not text.startswith("GUID="):
            return _INVALID
        for at, part in strings.parts(text):
            self._progress(progress, configuration, max(at - 1, 0))
            status, handle = self._driver(part)
            access = self._access(handle)
            if status is SUCCESS and not access:
                status = EfiStatus.EFI_NOT_FOUND
            if status is not SUCCESS:
                return status
            status, reached = self._route(access, part)
            if status.is_error:
                self._progress(progress, configuration, at + reached)
                return status
            self._progress(progress, configuration, at + len(part))
        return SUCCESS

    @service("EFI_HII_CONFIG_ROUTING_PROTOCOL.BlockToConfig", "qqqqqq")
    def block_to_config(
        self, this: int, config_request: int, block: int, block_size: int, config: int, progress: int
    ) -> EfiStatus:
        """The values that a request names, out of a block."""
        if not progress or not config:
            return _INVALID
        self._ram.put_u64(progress, config_request)
        if not block or not config_request:
            return _INVALID
        found = strings.block_to_string(self._ram.utf16(config_request), block_size)
        self._progress(progress, config_request, found.progress)
        self._ram.put_u64(config, 0)
        if found.status is not SUCCESS:
            return found.status
        values = [self._ram.read(block + offset, len(room))[::-1].hex() for offset, room in found.bytes_at]
        pieces = found.text.split("\0")
        return self._answer(config, "".join(map("".join, zip_longest(pieces, values, fillvalue=""))))

    @service("EFI_HII_CONFIG_ROUTING_PROTOCOL.ConfigToBlock", "qqqqq")
    def config_to_block(self, this: int, config_resp: int, block: int, block_size: int, progress: int) -> EfiStatus:
        """Put values into a block; the size becomes the offset of the last byte, or what is needed."""
        if not block_size or not progress:
            return _INVALID
        self._ram.put_u64(progress, config_resp)
        if not config_resp:
            return _INVALID
        room = self._ram.u64(block_size)
        found = strings.string_to_block(self._ram.utf16(config_resp), room)
        self._progress(progress, config_resp, found.progress)
        if block:
            for offset, data in found.bytes_at:
                self._ram.write(block + offset, data)
        if found.status is not SUCCESS:
            return found.status
        too_small = found.size > room
        self._ram.put_u64(block_size, found.size if too_small else found.size - 1 & (1 << 64) - 1)
        if block:
            return EfiStatus.EFI_BUFFER_TOO_SMALL if too_small else SUCCESS
        self._ram.put_u64(progress, config_resp)
        return _INVALID

    @service("EFI_HII_CONFIG_ROUTING_PROTOCOL.GetAltConfig", "qqqqqqq")
    def get_alt_config(
        self, this: int, configuration: int, guid: int, name: int, device_path: int, alt_cfg_id: int, alt_cfg_resp: int
    ) -> EfiStatus:
        """One of several strings, by what its header has."""
        if not configuration or not alt_cfg_resp:
            return _INVALID
        text, ram = self._ram.utf16(configuration), self._ram
        if not text.startswith("GUID="):
            return _INVALID
        path = None
        if device_path:
            path = ram.read(device_path, device_path_size(parse_device_path(ram, device_path)) + 4)
        found = strings.alternative(
            text,
            ram.read(guid, 16) if guid else None,
            ram.utf16(name) if name else None,
            path,
            ram.u16(alt_cfg_id) if alt_cfg_id else None,
        )
        ram.put_u64(alt_cfg_resp, 0)
        return found.status if found.status is not SUCCESS else self._answer(alt_cfg_resp, found.text)


def _encoded(text: str) -> bytes:
    return (text + "\0").encode("utf-16-le", "surrogatepass")

"""The boot services that ``bs`` can call: their parameters, and what to show of their results.

Numbers are hex, with or without ``0x``, or sizes such as ``16M``.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.commands.firmware.protocol_names import guid_named, protocol_name, protocol_names
from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.lazy_typing import TYPE_CHECKING, Final, NamedTuple
from tdvfsh.shell.command.types import BadArgument, read_address, read_memory_type
from tdvfsh.uefi import service_names
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus

if TYPE_CHECKING:
    from tdvfsh.machine import Machine
    from tdvfsh.shell.shell import Shell
    from tdvfsh.uefi.guids import Guid

_UINT32: Final = 0xFFFFFFFF


class Call(NamedTuple):
    """Context of a service call: the shell, its machine, and the machine's boot services."""

    shell: Shell
    machine: Machine
    services: BootServices


class Outcome(NamedTuple):
    """What a service returned: its status, names and values of its results, and a remark."""

    status: EfiStatus
    results: tuple[tuple[str, str], ...] = ()
    remark: str = ""


class Parameter(NamedTuple):
    """One parameter: its name in the specification, how a word is read, what it may be, and its default.

    ``kind`` is what completion offers at its place.
    """

    name: str
    read: Callable[[str], object]
    what: str
    default: object = None
    optional: bool = False
    kind: str = "number"


class Service(NamedTuple):
    """One boot service."""

    name: str
    parameters: tuple[Parameter, ...]
    run: Callable[..., Outcome]


def address(value: int) -> str:
    """A number as addresses are shown."""
    return f"{value:#x}"


# --- reading arguments -----------------------------------------------------------------------------------------------


def _read_allocate_type(word: str) -> int:
    for member in EfiAllocateType:
        if word.lower() in (member.name.lower(), member.name.lower().removeprefix("allocate")):
            return member
    return 0 if word.lower() == "any" else _read_uint32(word)


def _read_memory_type(word: str) -> int:
    return _read_uint32(word) if word[:1].isdigit() else read_memory_type(word)


def _read_uint32(word: str) -> int:
    value = read_address(word)
    if value > _UINT32:
        raise BadArgument
    return value


def _read_guid(word: str) -> Guid:
    guid = guid_named(word)
    if guid is None:
        raise BadArgument
    return guid


def _read_status(word: str) -> EfiStatus:
    try:
        return EfiStatus.from_name(word)
    except KeyError:
        raise BadArgument from None


def allocate_type_words() -> list[str]:
    """Names of EFI_ALLOCATE_TYPE as ``bs`` shows them."""
    return [member.name.removeprefix("Allocate") for member in EfiAllocateType]


def memory_type_words() -> list[str]:
    """Names of EFI_MEMORY_TYPE as ``bs`` shows them."""
    return [member.name.removeprefix("Efi") for member in EfiMemoryType]


def _number(name: str, default: int | None = None, *, optional: bool = False, kind: str = "number") -> Parameter:
    return Parameter(
        name=name,
        read=read_address,
        what="a number in hex, or a size such as 16M",
        default=default,
        optional=optional,
        kind=kind,
    )


def _allocate_type() -> Parameter:
    what = f"an allocate type: {', '.join(allocate_type_words())}, or a number"
    return Parameter("Type", _read_allocate_type, what, kind="allocate_type")


def _memory_type(name: str) -> Parameter:
    what = f"a memory type: {', '.join(memory_type_words())}, or a number"
    return Parameter(name, _read_memory_type, what, kind="memory_type")


def _guid(name: str, *, optional: bool = False) -> Parameter:
    return Parameter(
        name=name,
        read=_read_guid,
        what=f"a GUID or one of {', '.join(protocol_names())}",
        default=None,
        optional=optional,
        kind="protocol",
    )


# --- memory services -------------------------------------------------------------------------------------------------


def _allocate_pages(call: Call, allocate_type: int, memory_type: int, pages: int, memory: int) -> Outcome:
    status, start = call.services.allocate_pages(allocate_type, memory_type, pages, memory)
    if status is not SUCCESS:
        return Outcome(status)
    last = start + (pages << 12) - 1
    return Outcome(status, (("Memory", address(start)), ("Last byte", address(last))))


def _free_pages(call: Call, memory: int, pages: int) -> Outcome:
    return Outcome(call.services.free_pages(memory, pages))


def _get_memory_map(call: Call, size: int | None) -> Outcome:
    services = call.services
    if size is None:
        size = services.memory_map_view().counted * 48
    result = services.get_memory_map(size)
    if result.memory_map_size is None or result.descriptor_size is None:
        return Outcome(result.status)
    found: list[tuple[str, str]] = [("MemoryMapSize", address(result.memory_map_size))]
    if result.status is SUCCESS:
        found.append(("Descriptors", f"{len(result.descriptors):,}"))
    if result.map_key is not None:
        found.append(("MapKey", address(result.map_key)))
    found.append(("DescriptorSize", address(result.descriptor_size)))
    found.append(("DescriptorVersion", f"{result.descriptor_version or 0}"))
    return Outcome(result.status, tuple(found))


def _allocate_pool(call: Call, pool_type: int, size: int) -> Outcome:
    status, buffer = call.services.allocate_pool(pool_type, size)
    return Outcome(status, (("Buffer", address(buffer)),) if status is SUCCESS and buffer else ())


def _free_pool(call: Call, buffer: int) -> Outcome:
    return Outcome(call.services.free_pool(buffer))


def _accept_memory(call: Call, start_address: int, size: int) -> Outcome:
    before = call.machine.td.accepted_bytes
    status = call.services.accept_memory(start_address, size)
    return Outcome(status, (("Newly accepted", address(call.machine.td.accepted_bytes - before)),))


# --- image services --------------------------------------------------------------------------------------------------


def _load_image(call: Call, path: str) -> Outcome:
    from tdvfsh.shell.images_on_drives import load_image

    found = [item for item in call.shell.find_files(path) if not item.info.is_directory]
    if not found:
        return Outcome(EfiStatus.EFI_NOT_FOUND, (), f"File not found - '{path}'")
    status, handle = load_image(call.shell, call.machine, found[0])
    image = call.services.images.loaded_image(handle)
    if handle is None or image is None:
        return Outcome(status)
    return Outcome(
        status,
        (
            ("ImageHandle", f"{handle:#x}"),
            ("ImageBase", address(image.image_base)),
            ("ImageSize", address(image.image_size)),
            ("EntryPoint", address(image.entry_point)),
            ("ImageCodeType", image.image_code_type.name),
        ),
    )


def _start_image(call: Call, handle: int) -> Outcome:
    from tdvfsh.shell.images_on_drives import NEEDS_ENGINE

    image = call.services.images.loaded_image(handle)
    status, exit_data = call.services.start_image(handle)
    not_run = status is EfiStatus.EFI_UNSUPPORTED and image is not None and not image.started
    return Outcome(
        status,
        () if exit_data is None else (("ExitData", exit_data),),
        f"The image was not started: {NEEDS_ENGINE}" if not_run else "",
    )


def _unload_image(call: Call, handle: int) -> Outcome:
    return Outcome(call.services.unload_image(handle))


def _exit(call: Call, handle: int, exit_status: EfiStatus) -> Outcome:
    return Outcome(call.services.exit(handle, exit_status))


def _exit_boot_services(call: Call, map_key: int, handle: int | None) -> Outcome:
    image = call.machine.firmware_image if handle is None else handle
    status = call.services.exit_boot_services(image, map_key)
    remark = "Boot services are gone: 'td new' makes another machine." if status is SUCCESS else ""
    return Outcome(status, (), remark)


# --- protocol and other services -------------------------------------------------------------------------------------


def _install_protocol_interface(call: Call, handle: int, protocol: Guid) -> Outcome:
    status, made = call.services.install_protocol_interface(handle or None, protocol, None)
    return Outcome(status, () if made is None else (("Handle", f"{made:#x}"),))


def _uninstall_protocol_interface(call: Call, handle: int, protocol: Guid) -> Outcome:
    return Outcome(call.services.uninstall_protocol_interface(handle, protocol))


def _handle_protocol(call: Call, handle: int, protocol: Guid) -> Outcome:
    status, _ = call.services.handles.handle_protocol(handle, protocol)
    return Outcome(status)


def _locate_handle_buffer(call: Call, protocol: Guid | None) -> Outcome:
    found = call.services.handles.locate_handles(protocol)
    if not found:
        return Outcome(EfiStatus.EFI_NOT_FOUND)
    return Outcome(SUCCESS, (("NoHandles", f"{len(found):,}"), ("Buffer", " ".join(f"{one:#x}" for one in found))))


def _locate_protocol(call: Call, protocol: Guid) -> Outcome:
    status, _ = call.services.locate_protocol(protocol)
    if status is not SUCCESS:
        return Outcome(status)
    first = call.services.handles.locate_handles(protocol)[0]
    return Outcome(status, (("Protocol", protocol_name(protocol)), ("On handle", f"{first:#x}")))


def _install_configuration_table(call: Call, guid: Guid, table: int) -> Outcome:
    return Outcome(call.services.install_configuration_table(guid, table or None))


def _stall(call: Call, microseconds: int) -> Outcome:
    call.machine.clock.advance(microseconds * 1000)
    return Outcome(SUCCESS)


_FILE: Final = Parameter("File", str, "a file of a mounted drive", kind="file")
_HANDLE: Final = _number("Handle", kind="handle")
_MEMORY: Final = _number("Memory", 0, optional=True, kind="address")
_START: Final = _number("StartAddress", kind="unaccepted_start")
_IMAGE: Final = _number("ImageHandle", optional=True, kind="handle")
_TABLE: Final = _number("Table", kind="address")
_EXIT_STATUS: Final = Parameter(
    name="ExitStatus", read=_read_status, what="a status such as ABORTED", default=SUCCESS, optional=True, kind="status"
)

SERVICES: Final = (
    Service(
        service_names.ALLOCATE_PAGES,
        (_allocate_type(), _memory_type("MemoryType"), _number("Pages"), _MEMORY),
        _allocate_pages,
    ),
    Service(service_names.FREE_PAGES, (_number("Memory", kind="address"), _number("Pages")), _free_pages),
    Service(service_names.GET_MEMORY_MAP, (_number("MemoryMapSize", optional=True),), _get_memory_map),
    Service(service_names.ALLOCATE_POOL, (_memory_type("PoolType"), _number("Size")), _allocate_pool),
    Service(service_names.FREE_POOL, (_number("Buffer", kind="address"),), _free_pool),
    Service(
        service_names.ACCEPT_MEMORY,
        (_number("StartAddress", kind="unaccepted_start"), _number("Size", kind="unaccepted_size")),
        _accept_memory,
    ),
    Service(service_names.LOAD_IMAGE, (_FILE,), _load_image),
    Service(service_names.START_IMAGE, (_HANDLE,), _start_image),
    Service(service_names.UNLOAD_IMAGE, (_HANDLE,), _unload_image),
    Service(service_names.EXIT, (_HANDLE, _EXIT_STATUS), _exit),
    Service(
        service_names.EXIT_BOOT_SERVICES,
        (_number("MapKey", kind="map_key"), _number("ImageHandle", optional=True, kind="handle")),
        _exit_boot_services,
    ),
    Service(service_names.INSTALL_PROTOCOL_INTERFACE, (_HANDLE, _guid("Protocol")), _install_protocol_interface),
    Service(service_names.UNINSTALL_PROTOCOL_INTERFACE, (_HANDLE, _guid("Protocol")), _uninstall_protocol_interface),
    Service(service_names.HANDLE_PROTOCOL, (_HANDLE, _guid("Protocol")), _handle_protocol),
    Service(service_names.LOCATE_HANDLE_BUFFER, (_guid("Protocol", optional=True),), _locate_handle_buffer),
    Service(service_names.LOCATE_PROTOCOL, (_guid("Protocol"),), _locate_protocol),
    Service(service_names.INSTALL_CONFIGURATION_TABLE, (_guid("Guid"), _TABLE), _install_configuration_table),
    Service(service_names.STALL, (_number("Microseconds"),), _stall),
)


def service_named(name: str) -> Service | None:
    """A service by its name, in any case."""
    return next((service for service in SERVICES if service.name.lower() == name.lower()), None)


def usage(service: Service) -> str:
    """How a service is written: ``AllocatePages Type MemoryType Pages [Memory]``."""
    words = [f"[{one.name}]" if one.optional else one.name for one in service.parameters]
    return " ".join([service.name, *words])

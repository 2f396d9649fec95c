"""The image services, and how guest code becomes a program that StartImage can run.

Source: UEFI 2.10 7.4; edk2 MdeModulePkg/Core/Dxe/Image/Image.c.
"""

from __future__ import annotations

from tdvfsh.dxe.images import Program
from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.dxe.secure_boot.databases import EFI_IMAGE_SECURITY_DATABASE_GUID
from tdvfsh.dxe.secure_boot.execution_info import pack_execution_table
from tdvfsh.engine.abi.buffers import pool_buffer
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.device_paths import parse_device_path
from tdvfsh.engine.abi.service_table import Answer, service, status_of
from tdvfsh.engine.abi.system_table import SystemTables
from tdvfsh.engine.errors import ReachedOperatingSystem
from tdvfsh.engine.services.protocol_services import ProtocolServices
from tdvfsh.lazy_typing import Final, Protocol
from tdvfsh.uefi import service_names
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER


class ImageHost(Protocol):
    """The firmware around images that start."""

    def prepare_image(self, handle: int, image: LoadedImage) -> None:
        """Put on an image's handle what belongs there before the image starts."""
        ...

    def unload_function(self, handle: int, image: LoadedImage) -> int:
        """Address of an image's Unload function, 0 where it has none."""
        ...

    def leaving_boot_services(self) -> None:
        """Called when ExitBootServices is asked for."""
        ...

    def left_boot_services(self) -> None:
        """Called when ExitBootServices has succeeded."""
        ...


class ImageServices:
    """LoadImage, StartImage, Exit, UnloadImage, ExitBootServices, InstallConfigurationTable.

    Args:
        context: Guest memory, and the way into guest code.
        host: The firmware around images that start.
        tables: What an image is called with.
        protocols: Announces the handles of images.

    Attributes:
        exit_code: What the program that ended last returned, as a number: it need not be a status.
    """

    def __init__(
        self,
        context: GuestContext,
        host: ImageHost,
        tables: SystemTables,
        protocols: ProtocolServices,
    ) -> None:
        self._context = context
        self._host = host
        self._tables = tables
        self._protocols = protocols
        self._services = context.services
        self._ram = context.ram
        self._depth = 0
        self._told = 0
        self.exit_code = 0

    @property
    def running(self) -> bool:
        """Whether an image runs."""
        return self._depth > 0

    def program_for(self, image: LoadedImage) -> Program | None:
        """Every image with an entry point can run."""
        return self._run if image.entry_point else None

    def _run(self, handle: int) -> EfiStatus:
        context = self._context
        image = self._services.images.loaded_image(handle)
        assert image is not None
        self._host.prepare_image(handle, image)
        cpu, tpl, trace = context.cpu, context.core.events.tpl, context.machine.trace
        caller = trace.caller
        saved = cpu.uc.context_save()
        self._depth += 1
        try:
            self.exit_code = context.call(image.entry_point, handle, self._tables.system_table)
        except ReachedOperatingSystem:
            if self._depth > 1:
                raise
            return SUCCESS
        except BaseException:
            cpu.uc.context_restore(saved)
            raise
        finally:
            self._depth -= 1
            trace.caller = caller
            context.core.events.tpl = tpl
        return status_of(self.exit_code)

    @service(service_names.LOAD_IMAGE, "bqqqqq", own_record=True)
    def load_image(
        self, boot_policy: int, parent_image_handle: int, device_path: int, source_buffer: int, source_size: int,
        image_handle: int,
    ) -> EfiStatus:  # fmt: skip
        """EFI_IMAGE_LOAD."""
        if not image_handle:
            return _INVALID
        path = parse_device_path(self._ram, device_path) if device_path else None
        source = memoryview(self._ram.read(source_buffer, source_size)) if source_buffer else None
        status, handle = self._services.load_image(bool(boot_policy), parent_image_handle, path, source)
        self._ram.put_u64(image_handle, handle or 0)
        self._tell_refused()
        if handle is not None:
            self._protocols.announce(handle)
        return status

    def _tell_refused(self) -> None:
        """The image execution information table, made anew where an image was refused."""
        images = self._services.images
        refused = () if images.refused_images is None else images.refused_images()
        if len(refused) == self._told:
            return
        self._told = len(refused)
        table = self._context.interfaces.structure([pack_execution_table(refused)])
        self._services.core.configuration_tables[EFI_IMAGE_SECURITY_DATABASE_GUID] = table
        self._tables.update_configuration_tables()

    @service(service_names.START_IMAGE, "qqq", own_record=True)
    def start_image(self, image_handle: int, exit_data_size: int, exit_data: int) -> Answer:
        """EFI_IMAGE_START: the image's return value, unchanged."""
        self.exit_code = 0
        status, data = self._services.start_image(image_handle)
        if exit_data_size and exit_data:
            self._give_exit_data(data, exit_data_size, exit_data)
        return self.exit_code if status_of(self.exit_code) is status else status

    def _give_exit_data(self, data: str | None, size: int, pointer: int) -> None:
        text = (data + "\0").encode("utf-16-le") if data is not None else b""
        address = pool_buffer(self._context, text) if text else 0
        self._ram.put_u64(size, len(text) if address else 0)
        self._ram.put_u64(pointer, address)

    @service(service_names.EXIT, "qqqq", own_record=True)
    def exit(self, image_handle: int, exit_status: int, exit_data_size: int, exit_data: int) -> EfiStatus:
        """EFI_EXIT: does not return to an image that runs."""
        text = self._ram.utf16(exit_data) if exit_data and exit_data_size else None
        self.exit_code = exit_status
        return self._services.exit(image_handle, status_of(exit_status), text)

    @service(service_names.UNLOAD_IMAGE, "q", own_record=True)
    def unload_image(self, image_handle: int) -> EfiStatus:
        """EFI_IMAGE_UNLOAD."""
        image = self._services.images.loaded_image(image_handle)
        if image is not None and image.started:
            unload = self._host.unload_function(image_handle, image)
            image.unload = None if not unload else lambda: status_of(self._context.call(unload, image_handle))
        return self._services.unload_image(image_handle)

    @service(service_names.EXIT_BOOT_SERVICES, "qq", own_record=True)
    def exit_boot_services(self, image_handle: int, map_key: int) -> EfiStatus:
        """EFI_EXIT_BOOT_SERVICES."""
        self._host.leaving_boot_services()
        status = self._services.exit_boot_services(image_handle, map_key)
        if status is SUCCESS:
            self._host.left_boot_services()
        return status

    @service(service_names.INSTALL_CONFIGURATION_TABLE, "qq", own_record=True)
    def install_configuration_table(self, guid: int, table: int) -> EfiStatus:
        """EFI_INSTALL_CONFIGURATION_TABLE."""
        if not guid:
            return _INVALID
        return self._services.install_configuration_table(self._ram.guid(guid), table or None)

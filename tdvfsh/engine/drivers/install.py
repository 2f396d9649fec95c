"""The drivers on their handles, and the devices of the board connected to them, as OVMF does before it boots.

Source: `drivers`, `devtree`, `dh -d -v` and `openinfo` of OVMF 2025.02 on q35 (tests/recordings/drivers).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tdvfsh.dxe.loaded_image import LoadedImage, own_image
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.interfaces import GuestInterface
from tdvfsh.engine.devices.pci_functions import AHCI, LPC
from tdvfsh.engine.drivers import modules
from tdvfsh.engine.drivers.binding import Child, Device, FirmwareBinding, Interfaces, MadeChild, StandingChild
from tdvfsh.engine.drivers.disks import DiskDrivers
from tdvfsh.engine.drivers.firmware_volume import FirmwareVolume
from tdvfsh.engine.drivers.modules import DriverModule
from tdvfsh.engine.drivers.pointers import VirtualPointers
from tdvfsh.engine.drivers.protocols import DriverProtocols, newer_name, older_name
from tdvfsh.engine.drivers.sata import SataPorts, register_sata
from tdvfsh.engine.drivers.super_io import KEYBOARD, SERIAL_0, SUPER_IO_DEVICES, register_super_io
from tdvfsh.engine.protocols.pci_io import pci_functions
from tdvfsh.engine.protocols.serial_io import SerialIoProtocol
from tdvfsh.engine.protocols.text_console import ConsoleHandles, TextInput
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.device_path import DevicePath, OtherNode, Pci, PciRoot
from tdvfsh.uefi.guids import (
    EFI_ABSOLUTE_POINTER_PROTOCOL_GUID,
    EFI_ATA_PASS_THRU_PROTOCOL_GUID,
    EFI_BLOCK_IO_PROTOCOL_GUID,
    EFI_COMPONENT_NAME2_PROTOCOL_GUID,
    EFI_COMPONENT_NAME_PROTOCOL_GUID,
    EFI_CONSOLE_IN_DEVICE_GUID,
    EFI_CONSOLE_OUT_DEVICE_GUID,
    EFI_DEVICE_PATH_PROTOCOL_GUID,
    EFI_DISK_IO_PROTOCOL_GUID,
    EFI_DRIVER_BINDING_PROTOCOL_GUID,
    EFI_EXT_SCSI_PASS_THRU_PROTOCOL_GUID,
    EFI_FIRMWARE_VOLUME2_PROTOCOL_GUID,
    EFI_IDE_CONTROLLER_INIT_PROTOCOL_GUID,
    EFI_LOADED_IMAGE_DEVICE_PATH_PROTOCOL_GUID,
    EFI_LOADED_IMAGE_PROTOCOL_GUID,
    EFI_PCI_IO_PROTOCOL_GUID,
    EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL_GUID,
    EFI_SERIAL_IO_PROTOCOL_GUID,
    EFI_SIMPLE_POINTER_PROTOCOL_GUID,
    EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL_GUID,
    EFI_SIMPLE_TEXT_INPUT_PROTOCOL_GUID,
    EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL_GUID,
    EFI_SIO_PROTOCOL_GUID,
    EFI_STANDARD_ERROR_DEVICE_GUID,
    EFI_VT_UTF8_GUID,
    VIRTIO_DEVICE_PROTOCOL_GUID,
    Guid,
)
from tdvfsh.uefi.status import SUCCESS

_FIRMWARE_VOLUME_NODE, _FIRMWARE_FILE_NODE, _VENDOR_MESSAGING_NODE = (4, 7), (4, 6), (3, 10)
_ISA_BRIDGE_PATH: Final = DevicePath((PciRoot(0), Pci(LPC.device, LPC.function)))
_CONSUMES: Final[dict[DriverModule, tuple[tuple[Guid, ...], ...]]] = {
    modules.PCI_BUS: ((EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL_GUID,),),
    modules.VIRTIO_PCI: ((EFI_PCI_IO_PROTOCOL_GUID,),),
    modules.VIRTIO_10: ((EFI_PCI_IO_PROTOCOL_GUID,),),
    modules.VIRTIO_BLOCK: ((VIRTIO_DEVICE_PROTOCOL_GUID,),),
    modules.CON_PLATFORM: ((EFI_SIMPLE_TEXT_INPUT_PROTOCOL_GUID,), (EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL_GUID,)),
    modules.CON_SPLITTER: (
        (EFI_CONSOLE_IN_DEVICE_GUID,), (EFI_SIMPLE_POINTER_PROTOCOL_GUID,), (EFI_ABSOLUTE_POINTER_PROTOCOL_GUID,),
        (EFI_CONSOLE_OUT_DEVICE_GUID,), (EFI_STANDARD_ERROR_DEVICE_GUID,),
    ),
    modules.TERMINAL: ((EFI_SERIAL_IO_PROTOCOL_GUID, EFI_DEVICE_PATH_PROTOCOL_GUID),),
    modules.DISK_IO: ((EFI_BLOCK_IO_PROTOCOL_GUID,),),
    modules.PARTITION: ((EFI_DISK_IO_PROTOCOL_GUID, EFI_DEVICE_PATH_PROTOCOL_GUID),),
    modules.SCSI_BUS: ((EFI_EXT_SCSI_PASS_THRU_PROTOCOL_GUID, EFI_DEVICE_PATH_PROTOCOL_GUID),),
    modules.SATA_CONTROLLER: ((EFI_PCI_IO_PROTOCOL_GUID,),),
    modules.ATA_PASS_THRU: ((EFI_IDE_CONTROLLER_INIT_PROTOCOL_GUID,),),
    modules.ATA_BUS: ((EFI_ATA_PASS_THRU_PROTOCOL_GUID,),),
    modules.SIO_BUS: ((EFI_PCI_IO_PROTOCOL_GUID, EFI_DEVICE_PATH_PROTOCOL_GUID),),
    modules.SIO_SERIAL: ((EFI_SIO_PROTOCOL_GUID, EFI_DEVICE_PATH_PROTOCOL_GUID),),
    modules.PS2_KEYBOARD: ((EFI_SIO_PROTOCOL_GUID,),),
    modules.FAT: ((EFI_DISK_IO_PROTOCOL_GUID,),),
}  # fmt: skip
"""What each binding of a driver opens BY_DRIVER, the protocol that it knows its controllers by first."""


class _SerialPort:
    """The child controller that the driver of the serial port makes."""

    name: Final = "SIO Serial Port #0"

    def __init__(self, interfaces: Interfaces, serial: SerialIoProtocol) -> None:
        self._interfaces = interfaces
        self._serial = serial
        self._protocols = serial.protocols()

    @property
    def interface(self) -> object:
        """EFI_SERIAL_IO_PROTOCOL."""
        return self._protocols[EFI_SERIAL_IO_PROTOCOL_GUID]

    def make(self) -> int:
        """A new handle."""
        self._serial.handle = self._interfaces.install(None, self._protocols)
        return self._serial.handle

    def remove(self, handle: int) -> bool:
        """Take the protocols away."""
        gone = self._interfaces.remove(handle, self._protocols)
        self._serial.handle = 0 if gone else handle
        return gone


class FirmwareDrivers:
    """The drivers.

    Args:
        context: Guest memory and handles.
        announce: Signals the registrations for a new protocol interface.
    """

    def __init__(self, context: GuestContext, announce: Callable[[int, Guid], None]) -> None:
        self._context = context
        self._interfaces = Interfaces(context.services, announce)
        self._bindings = {
            module: [FirmwareBinding(module, self._interfaces, first, rest) for first, *rest in consumed]
            for module, consumed in _CONSUMES.items()
        }
        for platform in self._bindings[modules.CON_PLATFORM]:
            platform.needs = EFI_DEVICE_PATH_PROTOCOL_GUID  # the virtual console has none
        self._ports = SataPorts()
        self._disks = DiskDrivers(
            self._interfaces,
            self._ports,
            ata_bus=self._bindings[modules.ATA_BUS][0],
            disk_io=self._bindings[modules.DISK_IO][0],
            partition=self._bindings[modules.PARTITION][0],
            fat=self._bindings[modules.FAT][0],
        )

    def install(self, root_bridge: int, serial: SerialIoProtocol, console: ConsoleHandles, keyboard: TextInput) -> None:
        """Make the drivers' handles, and connect what is below the root bridge.

        Args:
            root_bridge: Handle of the PCI root bridge.
            serial: The serial port, which the console is on.
            console: The virtual console.
            keyboard: The keyboard behind the ISA bridge.
        """
        DriverProtocols(self._context).install()
        register_super_io(self._context)
        register_sata(self._context)
        self._make_handles()
        self._know(modules.PCI_BUS, self._root_bridge(root_bridge))
        self._know_console(serial, console, keyboard)
        self._know_sata()
        self._bring_up(root_bridge)

    def _bring_up(self, controller: int) -> None:
        """ConnectController, recursively, of these drivers alone."""
        order = sorted((one for each in self._bindings.values() for one in each), key=lambda one: -one.version)
        while started := [one for one in order if one.bring_up(controller) is SUCCESS]:
            order = [one for one in order if one not in started]
        for child in self._interfaces.handles.opens.children_of(controller):
            self._bring_up(child)

    def take_over_disks(self) -> None:
        """Manage the disks that have been attached since the last time."""
        self._disks.take_over()

    def _know(self, module: DriverModule, *devices: Device, binding: int = 0) -> None:
        self._bindings[module][binding].devices += devices

    # ---- handles ----------------------------------------------------------------------------------------------------

    def _make_handles(self) -> None:
        volume_path = DevicePath((OtherNode(*_FIRMWARE_VOLUME_NODE, modules.FIRMWARE_VOLUME.bytes_le),))
        files = {module.file: module.name for module in modules.MODULES}
        context = self._context
        context.interfaces.register(
            EFI_FIRMWARE_VOLUME2_PROTOCOL_GUID,
            lambda handle, thing: thing.structure() if isinstance(thing, FirmwareVolume) else None,
        )
        install = self._interfaces.install
        volume = install(
            None,
            {
                EFI_DEVICE_PATH_PROTOCOL_GUID: volume_path,
                EFI_FIRMWARE_VOLUME2_PROTOCOL_GUID: FirmwareVolume(context, files),
            },
        )
        for module in modules.MODULES:
            file = OtherNode(*_FIRMWARE_FILE_NODE, module.file.bytes_le)
            image = install(
                None,
                {
                    EFI_LOADED_IMAGE_PROTOCOL_GUID: self._image(volume, DevicePath((file,))),
                    EFI_LOADED_IMAGE_DEVICE_PATH_PROTOCOL_GUID: volume_path / file,
                },
            )
            for number, binding in enumerate(self._bindings[module]):
                binding.image_handle = image
                binding.handle = install(
                    None if number else image,
                    {
                        EFI_DRIVER_BINDING_PROTOCOL_GUID: binding,
                        EFI_COMPONENT_NAME_PROTOCOL_GUID: older_name(binding),
                        EFI_COMPONENT_NAME2_PROTOCOL_GUID: newer_name(binding),
                    },
                )

    def _image(self, volume: int, path: DevicePath) -> LoadedImage:
        return own_image(self._context.machine.firmware_image, volume, path)

    # ---- devices ----------------------------------------------------------------------------------------------------

    def _child(self, protocols: dict[Guid, object], name: str | None = None) -> MadeChild:
        return MadeChild(self._interfaces, protocols, name)

    def _root_bridge(self, handle: int) -> Device:
        interface = self._interfaces.handles.protocols(handle)[EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL_GUID]
        return Device(interface=interface, children=[self._child(each) for each in pci_functions()])

    def _know_console(self, serial: SerialIoProtocol, console: ConsoleHandles, keyboard: TextInput) -> None:
        """From the ISA bridge to the virtual console: each driver makes what the next one starts on."""
        isa_devices = [
            self._child(
                {EFI_DEVICE_PATH_PROTOCOL_GUID: _ISA_BRIDGE_PATH / each.node, EFI_SIO_PROTOCOL_GUID: each},
            )
            for each in SUPER_IO_DEVICES
        ]
        self._know(modules.SIO_BUS, Device(interface=LPC, children=isa_devices))
        port = _SerialPort(self._interfaces, serial)
        self._know(modules.SIO_SERIAL, Device(interface=SERIAL_0, children=[port]))
        text_input, text_output = console.text_input, console.text_output
        terminal = self._child(
            {
                EFI_DEVICE_PATH_PROTOCOL_GUID: serial.device_path()
                / OtherNode(*_VENDOR_MESSAGING_NODE, EFI_VT_UTF8_GUID.bytes_le),
                EFI_SIMPLE_TEXT_INPUT_PROTOCOL_GUID: text_input,
                EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL_GUID: text_input,
                EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL_GUID: text_output,
            },
            "VT-UTF8 Serial Console",
        )
        self._know(modules.TERMINAL, Device(interface=port.interface, children=[terminal]))
        keys = {EFI_SIMPLE_TEXT_INPUT_PROTOCOL_GUID: keyboard, EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL_GUID: keyboard}
        self._know(modules.PS2_KEYBOARD, Device(interface=KEYBOARD, produces=dict(keys), name="PS/2 Keyboard Device"))
        tags = {guid: GuestInterface(0) for guid in (EFI_CONSOLE_OUT_DEVICE_GUID, EFI_STANDARD_ERROR_DEVICE_GUID)}
        for source in (text_input, keyboard):
            self._know(
                modules.CON_PLATFORM,
                Device(interface=source, produces={EFI_CONSOLE_IN_DEVICE_GUID: GuestInterface(0)}),
            )
        self._know(modules.CON_PLATFORM, Device(interface=text_output, produces=dict(tags)), binding=1)
        self._know_virtual_console(console)

    def _know_sata(self) -> None:
        ports = self._ports
        passes: dict[Guid, object] = {
            EFI_ATA_PASS_THRU_PROTOCOL_GUID: ports,
            EFI_EXT_SCSI_PASS_THRU_PROTOCOL_GUID: ports,
        }
        init: dict[Guid, object] = {EFI_IDE_CONTROLLER_INIT_PROTOCOL_GUID: ports}
        self._know(modules.SATA_CONTROLLER, Device(interface=AHCI, produces=init, name="Sata Controller"))
        self._know(modules.ATA_PASS_THRU, Device(interface=ports, produces=passes, name="AHCI Controller"))
        self._know(modules.ATA_BUS, Device(interface=ports, name="ATA Controller"))
        self._know(modules.SCSI_BUS, Device(interface=ports))

    def _know_virtual_console(self, console: ConsoleHandles) -> None:
        pointers = VirtualPointers(self._context)
        self._interfaces.install(
            console.in_handle,
            {
                EFI_SIMPLE_POINTER_PROTOCOL_GUID: GuestInterface(pointers.simple),
                EFI_ABSOLUTE_POINTER_PROTOCOL_GUID: GuestInterface(pointers.absolute),
            },
        )
        tag = GuestInterface(0)
        devices: Sequence[tuple[int, Child]] = (
            (0, StandingChild(console.in_handle, "Primary Console Input Device")),
            (3, StandingChild(console.out_handle, "Primary Console Output Device")),
            (4, StandingChild(console.error_handle, "Primary Standard Error Device")),
        )
        for binding, child in devices:
            self._know(modules.CON_SPLITTER, Device(interface=tag, children=[child]), binding=binding)

"""Names of services as the specifications have them, and as the journal has them.

Source: UEFI 2.10 chapters 7 and 8; AcceptMemory: the Lazy Page Accept RFC, option 3; EDKII_MEMORY_ACCEPT_PROTOCOL:
edk2 MdePkg/Include/Protocol/MemoryAccept.h; TDG.MEM.PAGE.ACCEPT: Intel TDX module 1.5 ABI.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import Final

RAISE_TPL: Final = "RaiseTPL"
RESTORE_TPL: Final = "RestoreTPL"
ALLOCATE_PAGES: Final = "AllocatePages"
FREE_PAGES: Final = "FreePages"
GET_MEMORY_MAP: Final = "GetMemoryMap"
ALLOCATE_POOL: Final = "AllocatePool"
FREE_POOL: Final = "FreePool"
CREATE_EVENT: Final = "CreateEvent"
SET_TIMER: Final = "SetTimer"
WAIT_FOR_EVENT: Final = "WaitForEvent"
SIGNAL_EVENT: Final = "SignalEvent"
CLOSE_EVENT: Final = "CloseEvent"
CHECK_EVENT: Final = "CheckEvent"
INSTALL_PROTOCOL_INTERFACE: Final = "InstallProtocolInterface"
REINSTALL_PROTOCOL_INTERFACE: Final = "ReinstallProtocolInterface"
UNINSTALL_PROTOCOL_INTERFACE: Final = "UninstallProtocolInterface"
HANDLE_PROTOCOL: Final = "HandleProtocol"
REGISTER_PROTOCOL_NOTIFY: Final = "RegisterProtocolNotify"
LOCATE_HANDLE: Final = "LocateHandle"
LOCATE_DEVICE_PATH: Final = "LocateDevicePath"
INSTALL_CONFIGURATION_TABLE: Final = "InstallConfigurationTable"
LOAD_IMAGE: Final = "LoadImage"
START_IMAGE: Final = "StartImage"
EXIT: Final = "Exit"
UNLOAD_IMAGE: Final = "UnloadImage"
EXIT_BOOT_SERVICES: Final = "ExitBootServices"
GET_NEXT_MONOTONIC_COUNT: Final = "GetNextMonotonicCount"
STALL: Final = "Stall"
SET_WATCHDOG_TIMER: Final = "SetWatchdogTimer"
CONNECT_CONTROLLER: Final = "ConnectController"
DISCONNECT_CONTROLLER: Final = "DisconnectController"
OPEN_PROTOCOL: Final = "OpenProtocol"
CLOSE_PROTOCOL: Final = "CloseProtocol"
OPEN_PROTOCOL_INFORMATION: Final = "OpenProtocolInformation"
PROTOCOLS_PER_HANDLE: Final = "ProtocolsPerHandle"
LOCATE_HANDLE_BUFFER: Final = "LocateHandleBuffer"
LOCATE_PROTOCOL: Final = "LocateProtocol"
INSTALL_MULTIPLE_PROTOCOL_INTERFACES: Final = "InstallMultipleProtocolInterfaces"
UNINSTALL_MULTIPLE_PROTOCOL_INTERFACES: Final = "UninstallMultipleProtocolInterfaces"
CALCULATE_CRC32: Final = "CalculateCrc32"
COPY_MEM: Final = "CopyMem"
SET_MEM: Final = "SetMem"
CREATE_EVENT_EX: Final = "CreateEventEx"
ACCEPT_MEMORY: Final = "AcceptMemory"

GET_TIME: Final = "GetTime"
SET_TIME: Final = "SetTime"
GET_WAKEUP_TIME: Final = "GetWakeupTime"
SET_WAKEUP_TIME: Final = "SetWakeupTime"
SET_VIRTUAL_ADDRESS_MAP: Final = "SetVirtualAddressMap"
CONVERT_POINTER: Final = "ConvertPointer"
GET_VARIABLE: Final = "GetVariable"
GET_NEXT_VARIABLE_NAME: Final = "GetNextVariableName"
SET_VARIABLE: Final = "SetVariable"
GET_NEXT_HIGH_MONOTONIC_COUNT: Final = "GetNextHighMonotonicCount"
RESET_SYSTEM: Final = "ResetSystem"
UPDATE_CAPSULE: Final = "UpdateCapsule"
QUERY_CAPSULE_CAPABILITIES: Final = "QueryCapsuleCapabilities"
QUERY_VARIABLE_INFO: Final = "QueryVariableInfo"

ACCEPT_PROTOCOL: Final = "EdkiiMemoryAcceptProtocol.AcceptMemory"
PAGE_ACCEPT: Final = "TDG.MEM.PAGE.ACCEPT"
DMA_ACCEPT: Final = "EdkiiIoMmuProtocol.Unmap"
"""A DMA buffer made private again: one accept for each of its pages."""
ACCEPT_AT_BOOT: Final = "AcceptMemory at boot"
"""SEC's accept, before there are services."""
ACCEPT_AT_EXIT: Final = "AcceptAllMemory"
"""OVMF's accept of the rest when ExitBootServices is called."""

BOOT_SERVICES: Final = (
    RAISE_TPL,
    RESTORE_TPL,
    ALLOCATE_PAGES,
    FREE_PAGES,
    GET_MEMORY_MAP,
    ALLOCATE_POOL,
    FREE_POOL,
    CREATE_EVENT,
    SET_TIMER,
    WAIT_FOR_EVENT,
    SIGNAL_EVENT,
    CLOSE_EVENT,
    CHECK_EVENT,
    INSTALL_PROTOCOL_INTERFACE,
    REINSTALL_PROTOCOL_INTERFACE,
    UNINSTALL_PROTOCOL_INTERFACE,
    HANDLE_PROTOCOL,
    "Reserved",
    REGISTER_PROTOCOL_NOTIFY,
    LOCATE_HANDLE,
    LOCATE_DEVICE_PATH,
    INSTALL_CONFIGURATION_TABLE,
    LOAD_IMAGE,
    START_IMAGE,
    EXIT,
    UNLOAD_IMAGE,
    EXIT_BOOT_SERVICES,
    GET_NEXT_MONOTONIC_COUNT,
    STALL,
    SET_WATCHDOG_TIMER,
    CONNECT_CONTROLLER,
    DISCONNECT_CONTROLLER,
    OPEN_PROTOCOL,
    CLOSE_PROTOCOL,
    OPEN_PROTOCOL_INFORMATION,
    PROTOCOLS_PER_HANDLE,
    LOCATE_HANDLE_BUFFER,
    LOCATE_PROTOCOL,
    INSTALL_MULTIPLE_PROTOCOL_INTERFACES,
    UNINSTALL_MULTIPLE_PROTOCOL_INTERFACES,
    CALCULATE_CRC32,
    COPY_MEM,
    SET_MEM,
    CREATE_EVENT_EX,
    ACCEPT_MEMORY,
)
"""EFI_BOOT_SERVICES in the order of its members."""
RUNTIME_SERVICES: Final = (
    GET_TIME,
    SET_TIME,
    GET_WAKEUP_TIME,
    SET_WAKEUP_TIME,
    SET_VIRTUAL_ADDRESS_MAP,
    CONVERT_POINTER,
    GET_VARIABLE,
    GET_NEXT_VARIABLE_NAME,
    SET_VARIABLE,
    GET_NEXT_HIGH_MONOTONIC_COUNT,
    RESET_SYSTEM,
    UPDATE_CAPSULE,
    QUERY_CAPSULE_CAPABILITIES,
    QUERY_VARIABLE_INFO,
)
"""EFI_RUNTIME_SERVICES in the order of its members."""

"""Firmware that accepts what is left when the operating system takes over, unless that objects.

OVMF does so for SEV-SNP and not for TDX; here it is a policy for any TD. The accept changes the memory map, so the
first ExitBootServices fails and the loader has to ask again.

Source: edk2 OvmfPkg/AmdSevDxe/AmdSevDxe.c (AcceptAllMemory) and OvmfPkg/Include/Protocol/SevMemoryAcceptance.h,
commit c5aa7e7d; Linux drivers/firmware/efi/libstub/x86-stub.c (setup_unaccepted_memory).
"""

from __future__ import annotations

from tdvfsh.dxe.accept_memory import accept_protocol, take_into_map
from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.uefi.guids import (
    EFI_EVENT_GROUP_BEFORE_EXIT_BOOT_SERVICES,
    OVMF_SEV_MEMORY_ACCEPTANCE_PROTOCOL_GUID,
    guid_name,
)
from tdvfsh.uefi.memory import EfiGcdMemoryType
from tdvfsh.uefi.service_names import ACCEPT_AT_EXIT, LOCATE_PROTOCOL
from tdvfsh.uefi.status import SUCCESS, EfiStatus


class AcceptUnlessObjected:
    """The policy, and the protocol OVMF_SEV_MEMORY_ACCEPTANCE through which an operating system objects.

    Linux calls AllowUnacceptedMemory() on the protocol as soon as it has located it, so having asked for the protocol
    counts as the objection too.
    """

    def __init__(self, services: BootServices) -> None:
        self._services = services
        self._allowed = False

    @property
    def objected(self) -> bool:
        """Whether the operating system wants its memory unaccepted."""
        name = guid_name(OVMF_SEV_MEMORY_ACCEPTANCE_PROTOCOL_GUID)
        return self._allowed or any(
            record.service == LOCATE_PROTOCOL and record.arguments.get("protocol") == name
            for record in self._services.trace
        )

    def allow_unaccepted_memory(self) -> EfiStatus:
        """AllowUnacceptedMemory(): leave the rest unaccepted."""
        self._allowed = True
        return SUCCESS

    def install(self) -> None:
        """Publish the protocol and listen for BeforeExitBootServices."""
        services = self._services
        services.handles.install_protocol_interface(None, OVMF_SEV_MEMORY_ACCEPTANCE_PROTOCOL_GUID, self)
        services.create_event(self._before_exit, EFI_EVENT_GROUP_BEFORE_EXIT_BOOT_SERVICES)

    def _before_exit(self) -> None:
        services = self._services
        protocol = accept_protocol(services)
        if self.objected or protocol is None:
            return
        with services.trace.on_behalf_of("firmware"):
            record = services.trace.enter(ACCEPT_AT_EXIT)
            status, accepted = SUCCESS, 0
            for entry in services.gcd.of_type(EfiGcdMemoryType.EfiGcdMemoryTypeUnaccepted):
                status = protocol.accept_memory(entry.start, entry.size)
                if status.is_error:
                    break
                take_into_map(services, entry.start, entry.start + entry.size)
                accepted += entry.size
            services.trace.leave(record, status, accepted_bytes=accepted)

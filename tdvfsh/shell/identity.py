"""What the machine says of itself: firmware, profiles, its clock at the start."""

from __future__ import annotations

PROFILES = ("Driver1", "Debug1", "network1", "network2", "td")


class StillClock:
    """A clock of its own, for a shell without a machine; it begins at ``now`` nanoseconds."""

    def __init__(self, now: int = 0) -> None:
        self._now = now

    @property
    def now_ns(self) -> int:
        """Nanoseconds since the shell started."""
        return self._now

    def advance(self, nanoseconds: int) -> None:
        """Let time pass."""
        self._now += nanoseconds


class Firmware:
    """What ``ver`` and the variables say about the firmware.

    Args:
        vendor: Firmware vendor of the system table.
        revision: Firmware revision.
        uefi: UEFI version as ``%uefiversion%`` shows it.
        shell: Shell version.
        supplier: The shell's supplier line.
    """

    def __init__(
        self,
        vendor: str = "tdvfsh",
        revision: int = 0x10000,
        uefi: str = "2.70",
        shell: str = "2.2",
        supplier: str = "EDK II",
    ) -> None:
        self.vendor = vendor
        self.revision = revision
        self.uefi = uefi
        self.shell = shell
        self.supplier = supplier

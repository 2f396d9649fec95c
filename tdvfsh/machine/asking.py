"""TD options from what people write: sizes and policies as text."""

from __future__ import annotations

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.dxe.profile import AUTOMATIC
from tdvfsh.machine.options import TdOptions
from tdvfsh.units import parse_size


def td_options(
    memory: int | str = "4G",
    accept: str = "512M",
    on_demand: str = "none",
    loader: str = "direct",
    *,
    profile: str = AUTOMATIC,
    firmware_model: str = AUTOMATIC,
    vcpus: int = 1,
    gpaw: int = 48,
    td: bool = True,
) -> TdOptions:
    """The options of a TD, by the values of the command line's options of the same names.

    Args:
        memory: RAM: bytes, or a size such as ``2G``.
        accept: Accepted at boot: ``eager``, a size, ``presize[:SIZE]``, ``below-4g``.
        on_demand: ``none``, ``allocator``, ``loader``, ``loader-literal``, ``service``.
        loader: The boot flow.
        profile: The firmware generation's rules.
        firmware_model: The recorded footprint.
        vcpus: Number of vCPUs.
        gpaw: 48 or 52.
        td: False for a plain VM.

    Raises:
        UsageError: A value that cannot be; the message names it and what could.

    >>> td_options("2G", "256M", "service").memory
    2147483648
    """
    return TdOptions(
        memory=parse_size(memory) if isinstance(memory, str) else memory,
        accept=parse_boot_accept(accept),
        on_demand=on_demand,
        loader=loader,
        profile=profile,
        firmware_model=firmware_model,
        vcpus=vcpus,
        gpaw=gpaw,
        td=td,
    )

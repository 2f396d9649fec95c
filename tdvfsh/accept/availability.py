"""Which settings of the axes exist in firmware and loaders today, and which would need a change, and where.

Source: edk2 OvmfPkg/IntelTdx/TdxHelperLib/SecTdxHelper.c (AcceptMemoryEndAddress is BASE_4GB since d1e41c620f,
whatever the RAM); no PCD of mainline edk2 (c5aa7e7d) sets a size: PcdLazyAcceptPartialMemorySize, which
kata-containers issue 13535 names, is in none of its files; pull request 3245 (Lazyaccept.v2), which has a size and
option 1, was never merged. EDKII_MEMORY_ACCEPT_PROTOCOL is there, and no loader calls it.
"""

from __future__ import annotations

from enum import Enum

from tdvfsh.accept.boot_time import BELOW_4G, EAGER
from tdvfsh.lazy_typing import Final

_NONE: Final = "none"
_LOADER_OPTIONS: Final = ("loader", "loader-literal")
_OF_FIRMWARE: Final = ("direct", "direct-legacy")
"""Flows whose loader is a part of the firmware."""


class Change(Enum):
    """What has to change before a setting can be had."""

    TODAY = "today"
    FIRMWARE = "a change in firmware"
    LOADER = "a change in the loader"
    BOTH = "changes in firmware and loader"


def change_needed(accept: str, on_demand: str, loader: str) -> Change:
    """What a combination of the axes needs; mainline firmware has ``below-4g`` and nothing on demand.

    Args:
        accept: The policy at boot, by its name.
        on_demand: The option, by its name.
        loader: The flow, by its name.
    """
    in_loader = on_demand in _LOADER_OPTIONS or on_demand == "service"
    in_firmware = accept != BELOW_4G or on_demand in ("allocator", "service")
    if in_loader and loader in _OF_FIRMWARE:
        in_loader, in_firmware = False, True
    if in_loader:
        return Change.BOTH if in_firmware else Change.LOADER
    return Change.FIRMWARE if in_firmware else Change.TODAY


def accept_sentence(accept: str) -> str:
    """Where a policy at boot can be had, in a sentence."""
    if accept == BELOW_4G:
        return "below-4g is what mainline firmware does (edk2 since d1e41c620f)"
    if accept == EAGER:
        return "eager in firmware is what other builds do; accept_memory=eager lets Linux do it with any firmware"
    return f"{accept}: no setting of mainline firmware accepts a size (edk2 pull request 3245 was never merged)"


def option_sentence(on_demand: str) -> str:
    """Where an on-demand option can be had, in a sentence; empty for none."""
    if on_demand == _NONE:
        return ""
    if on_demand == "allocator":
        return "allocator (option 1): in no mainline firmware; it would change the DXE core"
    if on_demand == "service":
        return "service (option 3): in no mainline firmware, and no loader calls it; it would change both"
    return f"{on_demand} (option 2): no loader does it; firmware has the protocol that it would call"

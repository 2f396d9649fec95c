"""The boot flows by the name of ``--loader``, each of the build that it stands for or of the user's own file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from tdvfsh.errors import UsageError
from tdvfsh.formats.boot_loader import GRUB, SYSTEMD_BOOT, BootLoaderFile
from tdvfsh.lazy_dataclass import replace
from tdvfsh.loaders.direct import run_direct, run_direct_legacy
from tdvfsh.loaders.flow import BootFlow
from tdvfsh.loaders.grub import run_chainloader, run_grub
from tdvfsh.loaders.grub_legacy import run_grub_legacy
from tdvfsh.loaders.grub_memory import (
    GRUB_2_06,
    GRUB_2_12,
    GRUB_2_12_DEBIAN,
    GRUB_2_14,
    GRUB_2_14_DEBIAN,
    GRUB_CHAINLOADER,
    GRUB_RED_HAT,
    WITH_ANYTHING,
    WITH_TPM,
    WITH_TPM_OR_CC,
    GrubBuild,
)
from tdvfsh.loaders.grub_red_hat import run_grub_red_hat
from tdvfsh.loaders.sd_boot import (
    SD_BOOT_256,
    SD_BOOT_256_7,
    SD_BOOT_257,
    SD_BOOT_262,
    SdBootBuild,
    run_sd_boot,
)
from tdvfsh.uefi.status import EfiStatus

Flow = Callable[[BootFlow], EfiStatus]
_DIRECT: Final[Mapping[str, Flow]] = MappingProxyType({"direct": run_direct, "direct-legacy": run_direct_legacy})
_GRUBS: Final[Mapping[str, tuple[GrubBuild, Callable[[BootFlow, GrubBuild], EfiStatus]]]] = MappingProxyType(
    {
        "grub2.06": (GRUB_2_06, run_grub_legacy),
        "grub2.12": (GRUB_2_12, run_grub),
        "grub2.12-debian": (GRUB_2_12_DEBIAN, run_grub),
        "grub2.14": (GRUB_2_14, run_grub),
        "grub2.14-debian": (GRUB_2_14_DEBIAN, run_grub),
        "grub-rh": (GRUB_RED_HAT, run_grub_red_hat),
        "chainloader": (GRUB_CHAINLOADER, run_chainloader),
    }
)
_SD_BOOTS: Final[Mapping[str, SdBootBuild]] = MappingProxyType(
    {
        "sd-boot": SD_BOOT_257,
        "sd-boot256": SD_BOOT_256,
        "sd-boot256.7": SD_BOOT_256_7,
        "sd-boot262": SD_BOOT_262,
    }
)
FLOW_NAMES: Final = (*_DIRECT, *_GRUBS, *_SD_BOOTS)
_GROWING_HEAP: Final = (2, 11)
_CC_COUNTS: Final = (2, 13)
_TPM_MODULE: Final = "tpm"
_RED_HAT: Final = ("rh", "fedora", "centos", "almalinux", "rocky", "eurolinux", "oracle", "amazon")


def flow_of(loader: str, file: BootLoaderFile | None) -> Flow:
    """The flow of a loader.

    Args:
        loader: As ``--loader`` names it.
        file: The loader's own file, whose sizes, version and modules count; None for the build that the name means.

    Raises:
        UsageError: The file is of another kind or generation; the message names the flow that goes with it.
    """
    if loader in _DIRECT:
        if file is not None:
            raise _misfit(file, loader)
        return _DIRECT[loader]
    if loader in _GRUBS:
        build, run = _GRUBS[loader]
        if file is not None:
            build = _grub_of(file, loader, build)
        return lambda flow: run(flow, build)
    sd_boot = _SD_BOOTS[loader]
    if file is not None:
        if file.kind != SYSTEMD_BOOT:
            raise _misfit(file, loader)
        sd_boot = replace(
            _SD_BOOTS[_sd_boot_name(file)] if file.version else sd_boot,
            file_size=file.file_size,
            image_size=file.image_size,
            image_base=file.image_base,
        )
    return lambda flow: run_sd_boot(flow, sd_boot)


def _grub_of(file: BootLoaderFile, loader: str, build: GrubBuild) -> GrubBuild:
    grows = not build.quarter_heap
    if file.kind != GRUB or (file.version and (file.version >= _GROWING_HEAP) is not grows):
        raise _misfit(file, loader)
    verifies_with = build.verifies_with
    if file.version:
        verifies_with = _verifies_with(file)
    if _TPM_MODULE not in file.modules:
        verifies_with = frozenset()
    return replace(build, file_size=file.file_size, image_size=file.image_size, verifies_with=verifies_with)


def _verifies_with(file: BootLoaderFile) -> frozenset[str]:
    if file.version < _GROWING_HEAP:
        return WITH_ANYTHING
    return WITH_TPM_OR_CC if file.version >= _CC_COUNTS and file.vendor not in _RED_HAT else WITH_TPM


def _misfit(file: BootLoaderFile, loader: str) -> UsageError:
    name = _grub_name(file) if file.kind == GRUB else _sd_boot_name(file)
    return UsageError(f"--loader-file {file.path}: {file.name} is not what --loader {loader} runs; use --loader {name}")


def _grub_name(file: BootLoaderFile) -> str:
    if file.version and file.version < _GROWING_HEAP:
        return "grub2.06"
    if file.vendor in _RED_HAT:
        return "grub-rh"
    return ("grub2.14" if file.version >= _CC_COUNTS else "grub2.12") + ("-debian" if "peimage" in file.modules else "")


def _sd_boot_name(file: BootLoaderFile) -> str:
    """258 to 261 were not run: in what is modelled they are taken for 257.5."""
    for name, first in (("sd-boot262", (262,)), ("sd-boot", (257, 5)), ("sd-boot256.7", (256, 7))):
        if file.version >= first:
            return name
    return "sd-boot256"

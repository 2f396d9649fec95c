"""The boot flows by the name of ``--loader``, each of the build that it stands for or of the user's own file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

from tdvfsh.errors import UsageError
from tdvfsh.formats.boot_loader import GRUB, SYSTEMD_BOOT, BootLoaderFile
from tdvfsh.lazy_dataclass import replace
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.loaders.direct import run_direct, run_direct_legacy
from tdvfsh.loaders.flow import BootFlow
from tdvfsh.uefi.status import EfiStatus

if TYPE_CHECKING:
    from tdvfsh.loaders.grub_memory import GrubBuild
    from tdvfsh.loaders.sd_boot import SdBootBuild

Flow = Callable[[BootFlow], EfiStatus]
_DIRECT: Final[Mapping[str, Flow]] = MappingProxyType({"direct": run_direct, "direct-legacy": run_direct_legacy})
_GROWING_HEAP: Final = (2, 11)
_CC_COUNTS: Final = (2, 13)
_TPM_MODULE: Final = "tpm"
_RED_HAT: Final = ("rh", "fedora", "centos", "almalinux", "rocky", "eurolinux", "oracle", "amazon")


@cache
def _grubs() -> Mapping[str, tuple[GrubBuild, Callable[[BootFlow, GrubBuild], EfiStatus]]]:
    from tdvfsh.loaders import grub_memory as builds
    from tdvfsh.loaders.grub import run_chainloader, run_grub
    from tdvfsh.loaders.grub_legacy import run_grub_legacy
    from tdvfsh.loaders.grub_red_hat import run_grub_red_hat

    return {
        "grub2.06": (builds.GRUB_2_06, run_grub_legacy),
        "grub2.12": (builds.GRUB_2_12, run_grub),
        "grub2.12-debian": (builds.GRUB_2_12_DEBIAN, run_grub),
        "grub2.14": (builds.GRUB_2_14, run_grub),
        "grub2.14-debian": (builds.GRUB_2_14_DEBIAN, run_grub),
        "grub-rh": (builds.GRUB_RED_HAT, run_grub_red_hat),
        "chainloader": (builds.GRUB_CHAINLOADER, run_chainloader),
    }


@cache
def _sd_boots() -> Mapping[str, SdBootBuild]:
    from tdvfsh.loaders import sd_boot as builds

    return {
        "sd-boot": builds.SD_BOOT_257,
        "sd-boot256": builds.SD_BOOT_256,
        "sd-boot256.7": builds.SD_BOOT_256_7,
        "sd-boot262": builds.SD_BOOT_262,
    }


def flow_names() -> tuple[str, ...]:
    """All that ``--loader`` may name."""
    return (*_DIRECT, *_grubs(), *_sd_boots())


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
    if loader in _grubs():
        build, run = _grubs()[loader]
        if file is not None:
            build = _grub_of(file, loader, build)
        return lambda flow: run(flow, build)
    from tdvfsh.loaders.sd_boot import run_sd_boot

    sd_boot = _sd_boots()[loader]
    if file is not None:
        if file.kind != SYSTEMD_BOOT:
            raise _misfit(file, loader)
        sd_boot = replace(
            _sd_boots()[_sd_boot_name(file)] if file.version else sd_boot,
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
    from tdvfsh.loaders.grub_memory import WITH_ANYTHING, WITH_TPM, WITH_TPM_OR_CC

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

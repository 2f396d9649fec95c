"""QEMU direct boot through OVMF: ``-kernel`` and ``-initrd`` by fw_cfg, LoadImage, LoadFile2.

Source: edk2 OvmfPkg/QemuKernelLoaderFsDxe, OvmfPkg/Library/X86QemuLoadImageLib,
OvmfPkg/Library/PlatformBootManagerLib/QemuKernel.c (edk2-stable202211 to head); call order and sizes as recorded on
Debian's OVMF.
"""

from __future__ import annotations

from tdvfsh.accept.needs import Need
from tdvfsh.lazy_dataclass import replace
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import joined_size
from tdvfsh.loaders.firmware_player import FirmwarePlayer
from tdvfsh.loaders.flow import (
    FETCH_BLOBS,
    LOAD_IMAGE,
    START_IMAGE,
    BootFlow,
    shortage,
    why_not_loaded,
)
from tdvfsh.loaders.load_linux import run_load_linux
from tdvfsh.loaders.programs import program_needs
from tdvfsh.loaders.publish import note_image, publish_initrd, publish_volume
from tdvfsh.trace.records import PlacementMade
from tdvfsh.uefi import service_names
from tdvfsh.uefi.device_path import DevicePath, FilePath, VenMedia
from tdvfsh.uefi.guids import EFI_EVENT_GROUP_READY_TO_BOOT, QEMU_KERNEL_LOADER_FS_MEDIA_GUID
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_LOADER_FS_PATH: Final = DevicePath((VenMedia(QEMU_KERNEL_LOADER_FS_MEDIA_GUID),))
_BS_DATA: Final = EfiMemoryType.EfiBootServicesData
_LOADER_CODE: Final = EfiMemoryType.EfiLoaderCode
_POOL_OVERHEAD: Final = 40
_VERIFICATION_FAILED: Final = (
    "OVMF: Secure boot image verification failed.  Consider using the '-shim'",
    "OVMF: command line switch for qemu (available in version 10.0 + newer).",
)
_CONFIDENTIAL: Final = "OVMF: Running in confidential VM, not using insecure legacy linux kernel loader."
_DISABLED: Final = "OVMF: Fallback to insecure legacy linux kernel loader is disabled."
_BLOB_RECORD_SIZE: Final = 120  # sizeof (KERNEL_BLOB) of newer edk2, one per blob


def run_direct(flow: BootFlow) -> EfiStatus:
    """The whole flow; ends in the kernel's ExitBootServices or with the status that firmware would print.

    Returns:
        EFI_OUT_OF_RESOURCES: A blob, the image's pages, or something in the EFI stub found no room.
        EFI_NOT_FOUND: LoadImage could not read the kernel: also where the file's buffer found no room.
        Anything else that LoadImage or the image returned.
    """
    return _DirectBoot(flow).run()


def run_direct_legacy(flow: BootFlow) -> EfiStatus:
    """The same, where firmware's old loader takes the kernel: see :mod:`tdvfsh.loaders.load_linux`.

    OVMF falls back to it when LoadImage answers EFI_UNSUPPORTED, and after a refused signature where that is allowed.
    """
    return _DirectBoot(flow, legacy=True).run()


class _DirectBoot:
    def __init__(self, flow: BootFlow, legacy: bool = False) -> None:
        self._flow = flow
        self._legacy = legacy
        self._services = flow.services
        self._firmware = FirmwarePlayer(
            flow.services, flow.firmware_calls, flow.files.initrd_size, _cmdline_size(flow.files.cmdline)
        )
        self._image: int | None = None

    def run(self) -> EfiStatus:
        flow = self._flow
        kernel = flow.files.kernel
        blobs = [Need("kernel_file", kernel.size + _POOL_OVERHEAD, _BS_DATA)]
        if flow.files.initrd_size:
            blobs.append(Need("initrd_file", flow.files.initrd_size + _POOL_OVERHEAD, _BS_DATA))
        status = flow.run_step(FETCH_BLOBS, blobs, self._fetch_blobs)
        if status.is_error:
            return status
        self._firmware.run_to("file-buffer")
        image = [
            Need("file_buffer", kernel.size + _POOL_OVERHEAD, _BS_DATA),
            Need("image", kernel.image_pages_size, _LOADER_CODE),
        ]
        if self._legacy:
            return self._load_linux()
        status = flow.run_step(LOAD_IMAGE, image, self._load_image)
        if status is EfiStatus.EFI_UNSUPPORTED and flow.shim is None:
            return self._load_linux()
        if status in (EfiStatus.EFI_SECURITY_VIOLATION, EfiStatus.EFI_ACCESS_DENIED) and flow.shim is None:
            return self._refused()
        if status.is_error:
            return status
        self._firmware.run_to_end()
        self._services.core.events.signal_group(EFI_EVENT_GROUP_READY_TO_BOOT)
        stub = program_needs(flow)
        again = [*image, *(replace(need, release="file_buffer") for need in stub[:1]), *stub[1:]]
        return flow.run_step(START_IMAGE, stub, self._start_image, repeat_needs=again)

    def _refused(self) -> EfiStatus:
        """After Secure Boot: the old loader, which verifies nothing, where this firmware allows that."""
        flow, profile = self._flow, self._services.profile
        is_td = self._services.td.is_td
        if profile.legacy_loader_in_td if is_td else profile.legacy_loader_after_refusal:
            flow.messages.append("Secure Boot refused the kernel; firmware takes its old Linux loader instead")
            flow.failure = None
            return self._load_linux()
        flow.messages += _VERIFICATION_FAILED
        flow.messages.append(_CONFIDENTIAL if is_td else _DISABLED)
        return EfiStatus.EFI_ACCESS_DENIED

    def _load_linux(self) -> EfiStatus:
        self._firmware.run_to_end()
        return run_load_linux(self._flow)

    def _fetch_blobs(self) -> EfiStatus:
        """QemuKernelLoaderFsDxe's entry point: pool for each blob; if one fails, none is kept, without an error."""
        flow, services, shim = self._flow, self._services, self._flow.shim
        shims = [] if shim is None else [(0, shim.view)]
        buffers: list[int] = []
        with services.trace.on_behalf_of("QemuKernelLoaderFsDxe"):
            for mark, what, size, pieces in (
                ("kernel-blob", "kernel_file", flow.files.kernel.size, [(0, flow.files.kernel.view)]),
                ("shim-blob", "shim_file", joined_size(shims), shims),
                ("initrd-blob", "initrd_file", flow.files.initrd_size, flow.files.initrd_pieces()),
                ("cmdline-blob", "cmdline_file", _cmdline_size(flow.files.cmdline), []),
            ):
                self._firmware.run_to(mark)
                if not size:
                    continue
                record = services.allocate_pool(_BS_DATA, _BLOB_RECORD_SIZE)
                status, buffer = services.allocate_pool(_BS_DATA, size)
                if status is not SUCCESS or not buffer:
                    short = shortage(services, size, overhead=_POOL_OVERHEAD)
                    why = f"the firmware has no room for the {what.removesuffix('_file')}: {short}"
                    flow.fail(service_names.ALLOCATE_POOL, status, size, why)
                    for held in reversed(buffers):
                        services.free_pool(held)
                    if record.buffer:
                        services.free_pool(record.buffer)
                    for placement in flow.placements:
                        flow.free(placement)
                    return EfiStatus.EFI_OUT_OF_RESOURCES
                buffers += [record.buffer or 0, buffer]
                for offset, view in pieces:
                    services.contents.map_view(buffer + offset, view)
                flow.place(what, buffer, size, _BS_DATA)
                self._transferred(what, size)
            self._publish()
        if flow.dma is not None:
            flow.dma.blobs_are_there()
        return SUCCESS

    def _transferred(self, what: str, size: int) -> None:
        """A bzImage comes as two items: its setup part and the rest."""
        flow = self._flow
        if flow.dma is None:
            return
        linux = flow.files.kernel.linux
        setup = 0 if linux is None or what != "kernel_file" else min(size, linux.setup_size)
        flow.dma.transferred(what.replace("_", " "), setup)
        flow.dma.transferred(what.replace("_", " "), size - setup)

    def _publish(self) -> None:
        files = self._flow.files
        blobs = {"kernel": [(0, files.kernel.view)]}
        if self._flow.shim is not None:
            blobs["shim"] = [(0, self._flow.shim.view)]
        if files.initrd_size:
            blobs["initrd"] = files.initrd_pieces()
        publish_volume(self._flow, _LOADER_FS_PATH, blobs)
        if files.initrd_size:
            publish_initrd(self._flow, files.initrd_pieces())

    def _load_image(self) -> EfiStatus:
        flow, services = self._flow, self._services
        kernel, shim = flow.files.kernel, flow.shim
        name, path, size, asked = "kernel", kernel.path, kernel.size, kernel.image_pages_size
        if shim is not None:
            name, path, size, asked = "shim", shim.path, len(shim.view), shim.pe.image_size
        first = len(services.trace)
        with services.trace.on_behalf_of("bds"):
            result = services.load_image(False, flow.firmware_image, _LOADER_FS_PATH / FilePath(name))
        file_buffer = next(
            (record for record in services.trace.records[first:] if isinstance(record, PlacementMade)), None
        )
        if file_buffer is not None:
            flow.adopt(file_buffer)
        self._image = result.handle
        if result.status is SUCCESS:
            note_image(flow, result.handle, "image" if shim is None else "shim")
            flow.failure = None
        elif file_buffer is None and result.status is EfiStatus.EFI_NOT_FOUND:
            flow.fail(
                service_names.LOAD_IMAGE,
                result.status,
                size,
                f"LoadImage answers NOT_FOUND because its buffer for the {name} file found no room: "
                + shortage(services, size),
            )
        elif result.status in (EfiStatus.EFI_OUT_OF_RESOURCES, EfiStatus.EFI_NOT_FOUND):
            flow.fail(
                service_names.LOAD_IMAGE, result.status, asked, f"the image found no room: {shortage(services, asked)}"
            )
        else:
            flow.fail(
                service_names.LOAD_IMAGE,
                result.status,
                0,
                why_not_loaded(services, path),
            )
        return result.status

    def _start_image(self) -> EfiStatus:
        flow, services = self._flow, self._services
        flow.stage = START_IMAGE
        if self._image is None:
            status = self._load_image()
            if status.is_error:
                return status
        set_load_options(flow, self._image)
        with services.trace.on_behalf_of("bds"):
            status = services.start_image(self._image).status
        if status.is_error:
            flow.mark_freed("image")
            self._image = None
        return status


def _cmdline_size(cmdline: str) -> int:
    """Bytes of the blob."""
    return len(cmdline) + 1 if cmdline else 0


def set_load_options(flow: BootFlow, handle: int | None) -> None:
    """OVMF's command line: ``initrd=initrd`` before it, or after it in older releases."""
    image = flow.services.images.loaded_image(handle)
    if image is None:
        return
    words = [flow.files.cmdline] if flow.files.cmdline else []
    if flow.files.initrd_size:
        words.insert(0 if flow.services.profile.initrd_option_first else len(words), "initrd=initrd")
    if flow.shim is not None:
        words.insert(0, "kernel")
    image.load_options = " ".join(words)
    flow.services.allocate_pool(_BS_DATA, 2 * (len(image.load_options) + 1))

"""Binary layout of the Linux x86 setup header, for reading and for writing.

Source: Linux Documentation/arch/x86/boot.rst; arch/x86/include/uapi/asm/bootparam.h.
"""

from __future__ import annotations

from tdvfsh.formats.header import U8, U16, U32, U64, Header
from tdvfsh.lazy_typing import Final

SETUP_HEADER_OFFSET: Final = 0x1F1
HEADER_MAGIC_OFFSET: Final = 0x202
BOOT_FLAG: Final = 0xAA55
HEADER_MAGIC: Final = 0x53726448  # "HdrS"
SECTOR_SIZE: Final = 512

SETUP_HEADER: Final = Header(
    setup_sects=U8,
    root_flags=U16,
    syssize=U32,
    ram_size=U16,
    vid_mode=U16,
    root_dev=U16,
    boot_flag=U16,
    jump=U16,
    header=U32,
    version=U16,
    realmode_swtch=U32,
    start_sys_seg=U16,
    kernel_version=U16,
    type_of_loader=U8,
    loadflags=U8,
    setup_move_size=U16,
    code32_start=U32,
    ramdisk_image=U32,
    ramdisk_size=U32,
    bootsect_kludge=U32,
    heap_end_ptr=U16,
    ext_loader_ver=U8,
    ext_loader_type=U8,
    cmd_line_ptr=U32,
    initrd_addr_max=U32,
    kernel_alignment=U32,
    relocatable_kernel=U8,
    min_alignment=U8,
    xloadflags=U16,
    cmdline_size=U32,
    hardware_subarch=U32,
    hardware_subarch_data=U64,
    payload_offset=U32,
    payload_length=U32,
    setup_data=U64,
    pref_address=U64,
    init_size=U32,
    handover_offset=U32,
    kernel_info_offset=U32,
)
"""From offset 0x1F1 of the file to 0x26C, as of protocol 2.15."""

SETUP_HEADER_SIZE: Final = 0x26C - SETUP_HEADER_OFFSET

FIELD_VERSIONS: Final = {
    "ramdisk_image": 0x200,
    "ramdisk_size": 0x200,
    "heap_end_ptr": 0x201,
    "ext_loader_ver": 0x202,
    "ext_loader_type": 0x202,
    "cmd_line_ptr": 0x202,
    "initrd_addr_max": 0x203,
    "kernel_alignment": 0x205,
    "relocatable_kernel": 0x205,
    "cmdline_size": 0x206,
    "hardware_subarch": 0x207,
    "hardware_subarch_data": 0x207,
    "payload_offset": 0x208,
    "payload_length": 0x208,
    "setup_data": 0x209,
    "min_alignment": 0x20A,
    "pref_address": 0x20A,
    "init_size": 0x20A,
    "handover_offset": 0x20B,
    "xloadflags": 0x20C,
    "kernel_info_offset": 0x20F,
}
"""The protocol version that brought a field; fields not named here are as old as the header."""

LOADED_HIGH: Final = 1 << 0
XLF_KERNEL_64: Final = 1 << 0
XLF_CAN_BE_LOADED_ABOVE_4G: Final = 1 << 1
XLF_EFI_HANDOVER_32: Final = 1 << 2
XLF_EFI_HANDOVER_64: Final = 1 << 3
XLF_EFI_KEXEC: Final = 1 << 4
XLF_5LEVEL: Final = 1 << 5
XLF_5LEVEL_ENABLED: Final = 1 << 6

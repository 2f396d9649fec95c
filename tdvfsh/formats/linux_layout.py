"""Binary layout of the Linux x86 setup header, for reading and for writing.

Source: Linux Documentation/arch/x86/boot.rst; arch/x86/include/uapi/asm/bootparam.h.
"""

from __future__ import annotations

from typing import Final

from construct import Int8ul, Int16ul, Int32ul, Int64ul, Struct

SETUP_HEADER_OFFSET: Final = 0x1F1
HEADER_MAGIC_OFFSET: Final = 0x202
BOOT_FLAG: Final = 0xAA55
HEADER_MAGIC: Final = 0x53726448  # "HdrS"
SECTOR_SIZE: Final = 512

SETUP_HEADER: Final = Struct(
    "setup_sects" / Int8ul,
    "root_flags" / Int16ul,
    "syssize" / Int32ul,
    "ram_size" / Int16ul,
    "vid_mode" / Int16ul,
    "root_dev" / Int16ul,
    "boot_flag" / Int16ul,
    "jump" / Int16ul,
    "header" / Int32ul,
    "version" / Int16ul,
    "realmode_swtch" / Int32ul,
    "start_sys_seg" / Int16ul,
    "kernel_version" / Int16ul,
    "type_of_loader" / Int8ul,
    "loadflags" / Int8ul,
    "setup_move_size" / Int16ul,
    "code32_start" / Int32ul,
    "ramdisk_image" / Int32ul,
    "ramdisk_size" / Int32ul,
    "bootsect_kludge" / Int32ul,
    "heap_end_ptr" / Int16ul,
    "ext_loader_ver" / Int8ul,
    "ext_loader_type" / Int8ul,
    "cmd_line_ptr" / Int32ul,
    "initrd_addr_max" / Int32ul,
    "kernel_alignment" / Int32ul,
    "relocatable_kernel" / Int8ul,
    "min_alignment" / Int8ul,
    "xloadflags" / Int16ul,
    "cmdline_size" / Int32ul,
    "hardware_subarch" / Int32ul,
    "hardware_subarch_data" / Int64ul,
    "payload_offset" / Int32ul,
    "payload_length" / Int32ul,
    "setup_data" / Int64ul,
    "pref_address" / Int64ul,
    "init_size" / Int32ul,
    "handover_offset" / Int32ul,
    "kernel_info_offset" / Int32ul,
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

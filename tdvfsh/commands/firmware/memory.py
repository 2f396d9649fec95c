"""``memmap``, ``dmem`` and ``mm``.

Source: edk2 ShellPkg/Library/UefiShellDebug1CommandsLib (MemMap.c, Dmem.c, Mm.c).
"""

from __future__ import annotations

from tdvfsh.commands.firmware.system_table import SIZE, system_table_text
from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Address, Count, Flag, Hex, Size
from tdvfsh.shell.guest_memory import MemoryFault, read, touch
from tdvfsh.shell.machine_binding import machine_of
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import SUCCESS

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell
    from tdvfsh.td.trust_domain import TrustDomain

_SPARE_BYTES = 1024  # what memmap adds to the size that GetMemoryMap asked for
_DEFAULT_DUMP = 0x200
_ROW = 16
_CHUNK = 0x1000
_LIMIT = 1 << 64


@command("memmap", profile="Debug1")
def memmap(shell: Shell, *, sfo: Flag = False, plot: Flag = False) -> ShellStatus:
    """Show the memory map.

    SYNOPSIS:
        memmap [-b] [-sfo] [-plot]

    OPTIONS:
        -b: Stop after each screen.
        -sfo: Print Standard-Format Output.
        -plot: Draw RAM to scale, row by row, and how much is of which type.

    DESCRIPTION:
        The map is what GetMemoryMap returns, with the command's own buffer in it, as on firmware. Rows of type
        Unaccepted are memory that is not accepted yet. The total leaves out Reserved, Unusable and MMIO.

        The columns of a MemoryMap row of -sfo are type, first byte, last byte, pages and attribute, all in hex. Those
        of MemoryMapSummary are bytes: total, reserved, boot services code and data, runtime code and data, loader code
        and data, available, MMIO, MMIO port, unusable, ACPI reclaim, ACPI NVS, PAL code, unaccepted, persistent. The
        blank before the last is firmware's, and parse takes it and the one before as one: td -sfo has unaccepted bytes
        on their own.

    EXAMPLES:
        Show the memory map:
        memmap
        Keep the map as data, and read where its first range starts:
        memmap -sfo >a map.txt
        parse map.txt MemoryMap 3 -i 1

    RETURNVALUES:
        SUCCESS: Shown.
        OUT_OF_RESOURCES: There was no room for the buffer.
        ACCESS_DENIED: Boot services are gone.
    """
    from tdvfsh.report.memmap_text import memmap_sfo, memmap_table

    services = machine_of(shell).services
    needed = services.get_memory_map(0).memory_map_size
    if services.at_runtime or needed is None:
        shell.print("memmap: Unable to get memory map\n")
        return ShellStatus.ACCESS_DENIED
    size = needed + _SPARE_BYTES
    status, buffer = services.allocate_pool(EfiMemoryType.EfiBootServicesData, size)
    if status is not SUCCESS or buffer is None:
        shell.print("memmap: Memory is not available.\n")
        return ShellStatus.OUT_OF_RESOURCES
    descriptors = services.get_memory_map(size).descriptors
    services.free_pool(buffer)
    if plot and not sfo:
        from tdvfsh.report.map_plot import plot_lines
        from tdvfsh.shell.plotting import plot_room

        columns, blocks = plot_room(shell)
        ram = [(span.start, span.end) for span in machine_of(shell).td.ram.spans]
        _print_lines(shell, plot_lines(descriptors, ram, columns, blocks=blocks))
    else:
        _print_lines(shell, memmap_sfo(descriptors) if sfo else memmap_table(descriptors))
    return ShellStatus.SUCCESS


@command("dmem", profile="Debug1")
def dmem(
    shell: Shell,
    address: Address | None = None,
    size: Size | None = None,
    *,
    mmio: Flag = False,
    verbose: Flag = False,
) -> ShellStatus:
    """Show memory, byte for byte.

    SYNOPSIS:
        dmem [-b] [address [size]] [-MMIO]

    OPTIONS:
        -b: Stop after each screen.
        -MMIO: Show memory-mapped I/O, which this machine does not have.
        -verbose: Accepted, and without effect.
        address: First byte, in hex, or as in 16M; the system table without it, where programs run on a processor.
        size: Number of bytes, in hex, or as in 4K; 200 without it.

    DESCRIPTION:
        Files that were loaded are read where they were put; memory that was never written is zero. Unaccepted memory is
        never shown as zeros: touching it is a fault, which is reported, and nothing is shown.

    EXAMPLES:
        Show the system table's entries:
        dmem
        Show 16 (hex) bytes from an address:
        dmem 1af3088 16

    RETURNVALUES:
        SUCCESS: Shown.
        INVALID_PARAMETER: There is no such address.
        ACCESS_DENIED: Some of it is unaccepted memory.
        NOT_FOUND: Some of it is not RAM.
        UNSUPPORTED: Memory-mapped I/O, or the system table of a machine without a processor.
    """
    if mmio:
        shell.print("dmem: Not modelled: this machine has no memory-mapped I/O.\n")
        return ShellStatus.UNSUPPORTED
    core = machine_of(shell).services.core
    if address is None:
        address, size = core.system_table, SIZE
        if address is None:
            shell.print("dmem: Not modelled: this machine has no system table in memory; give an address.\n")
            return ShellStatus.UNSUPPORTED
    size = _DEFAULT_DUMP if size is None else size
    end = address + size
    if end > _LIMIT:
        shell.print(f"dmem: Invalid argument - '{address:X} {size:X}'\n")
        return ShellStatus.INVALID_PARAMETER
    td = machine_of(shell).td
    try:
        touch(td, address, end)
        for start in range(address, max(end, address + 1), _CHUNK):
            shell.checkpoint()
            data = read(td, start, min(_CHUNK, end - start)) if size else b""
            if start == address:
                shell.print(f"Memory Address {address:016X} {size:X} Bytes\n")
            _print_bytes(shell, start, data)
        if address == core.system_table:
            shell.print(system_table_text(address, read(td, address, SIZE), core.configuration_tables))
    except MemoryFault as fault:
        return _report(shell, "dmem", fault)
    return ShellStatus.SUCCESS


def _print_bytes(shell: Shell, address: int, data: bytes) -> None:
    for start in range(0, len(data), _ROW):
        row = data[start : start + _ROW]
        cells = [f"{value:02X}{'-' if index == 7 else ' '}" for index, value in enumerate(row)]
        text = "".join(chr(value) if 0x20 <= value < 0x7F else "." for value in row)
        shell.print(f"  {address + start:08X}: {''.join(cells):<48} *{text}*\n")


@command("mm", profile="Debug1")
def mm(
    shell: Shell,
    address: Address,
    value: Hex | None = None,
    *,
    w: Count = 1,
    mem: Flag = False,
    mmio: Flag = False,
    io: Flag = False,
    pci: Flag = False,
    pcie: Flag = False,
    n: Flag = False,
) -> ShellStatus:
    """Show or change one value in memory.

    SYNOPSIS:
        mm address [value] [-w 1|2|4|8] [-MEM] [-n]

    OPTIONS:
        address: Where, in hex, or as in 16M; a multiple of the width.
        value: What to write, in hex; shown without it.
        -w: Width in bytes; 1 without it.
        -MEM: Memory, which is also the default.
        -MMIO, -IO, -PCI, -PCIE: Not modelled.
        -n: Do not ask for more values; this shell never does.

    DESCRIPTION:
        Numbers are little-endian, as on x86. Unaccepted memory cannot be read or written: that is a fault.

    EXAMPLES:
        Show memory a byte at a time:
        mm 1b07288 -n
        Show memory two bytes at a time:
        mm 1b07288 -w 2 -n
        Write four bytes:
        mm 1b07288 12345678 -w 4

    RETURNVALUES:
        SUCCESS: Shown or written.
        INVALID_PARAMETER: An address off its width, or a value that does not fit.
        ACCESS_DENIED: It is unaccepted memory.
        NOT_FOUND: It is not RAM.
        UNSUPPORTED: Anything but memory.
    """
    if w not in (1, 2, 4, 8):
        shell.print(f"mm: Bad value - '{w}' for flag - '-w'\n")
        return ShellStatus.INVALID_PARAMETER
    if sum((mem, mmio, io, pci, pcie)) > 1:
        shell.print("mm: Too many arguments.\n")
        return ShellStatus.INVALID_PARAMETER
    if mmio or io or pci or pcie:
        shell.print("mm: Not modelled: this machine has memory only.\n")
        return ShellStatus.UNSUPPORTED
    if address % w:
        shell.print(f"mm: Address parameter {address:016X} is not aligned.\n")
        return ShellStatus.INVALID_PARAMETER
    if value is not None and value >> 8 * w:
        shell.print(f"mm: Invalid argument - '{value:X}'\n")
        return ShellStatus.INVALID_PARAMETER
    try:
        return _access_value(shell, machine_of(shell).td, address, value, w)
    except MemoryFault as fault:
        return _report(shell, "mm", fault)


def _access_value(shell: Shell, td: TrustDomain, address: int, value: int | None, width: int) -> ShellStatus:
    touch(td, address, address + width)
    if value is None:
        shell.print(f"0x{int.from_bytes(read(td, address, width), 'little'):0{2 * width}x}\n")
    else:
        td.contents.write(address, value.to_bytes(width, "little"))
    return ShellStatus.SUCCESS


def _report(shell: Shell, name: str, fault: MemoryFault) -> ShellStatus:
    shell.print(f"{name}: {fault}\n")
    return fault.status


def _print_lines(shell: Shell, lines: list[str]) -> None:
    for line in lines:
        shell.print(line + "\n")

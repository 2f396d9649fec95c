"""Writing a recorded footprint as the TOML that ``--firmware-model`` takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from textwrap import wrap

from tdvfsh.lazy_typing import Final
from tdvfsh.td.dma import NO_DMA
from tdvfsh.td.firmware_calls import FirmwareCall, calls_text
from tdvfsh.td.footprint import ABOVE_4G, DIRECT, FirmwareModel, FirmwareStage, Piece
from tdvfsh.units import PAGE_SHIFT

_LEGEND: Final = """\
fixed      descriptors at fixed addresses, in address order
top        descriptors relative to the top of accepted low RAM: "below" is the distance from the top down to the start
           Everything between the last fixed and the first top descriptor is conventional memory.
caps       access capabilities of a descriptor where they differ from the rest: such a piece is not merged
           with its neighbour in the DXE core's list, though GetMemoryMap shows them as one
calls      what firmware allocates and frees between the map above and the start of the image, in order;
           pools that take whole pages are here as pages. free = N means the pages of calls[N] (counted
           from 0), less the first "offset" pages; free_top is like below. "do" marks the caller's own steps;
           pool = "…" are requests to a pool that shares pages (tdvfsh/loaders/pool_requests.py).
larger_initrds  the calls where the initrd has more bytes than "over", as tdvfsh.td.firmware_calls writes them"""


def footprint_text(model: FirmwareModel, how: Sequence[str]) -> str:
    """The file for ``model``, from which :func:`tdvfsh.td.footprint.firmware_model` reads the same again.

    Args:
        model: What was recorded.
        how: Lines for its head: what was recorded, on which machine, in which way.
    """
    return "\n".join(_lines(model, how)) + "\n"


def _lines(model: FirmwareModel, how: Sequence[str]) -> Iterator[str]:
    yield "# Footprint of the firmware in memory, recorded from the firmware itself."
    yield "#"
    yield from (f"# {line}".rstrip() for line in (*how, "", *_LEGEND.splitlines()))
    yield ""
    yield f'name = "{model.name}"'
    yield f'package = "{model.package}"'
    yield f'edk2 = "{model.edk2}"'
    yield f'profile = "{model.profile}"  # the generation whose rules it follows'
    if model.metadata != model.name:
        yield f'metadata = "{model.metadata}"  # whose TDX metadata sections it has'
    if model.shell_of:
        yield f'shell_of = "{model.shell_of}"  # whose Shell stands in [shell]; this one has none'
    yield f"min_ram = {model.min_ram:#x}"
    yield f"attribute = {model.attribute:#x}  # of every RAM descriptor; runtime types add 0x8000000000000000"
    yield ""
    yield "# Bins, in array order: the first one ends at the top of low RAM - bins_top, the others follow downwards."
    yield f"bins_top = {_hex(model.bins_below)}"
    direct = model.stages[DIRECT]
    if direct.aligned_below:
        yield f"aligned_below = {_hex(direct.aligned_below)}"
    if direct.stack_pages:
        yield f"stack_pages = {direct.stack_pages}  # by which PEI's stack lies lower for each vCPU more"
    if direct.vcpus != 1:
        yield f"vcpus = {direct.vcpus}  # of the recorded machine"
    yield "bins = ["
    for memory_type, pages in model.bins:
        yield f'  {{ type = "{memory_type.name}", pages = {_hex(pages)} }},'
    yield "]"
    yield ""
    yield "# Not RAM; type, attribute as GetMemoryMap reports them."
    yield "outside = ["
    for outside in model.outside:
        pages = (outside.end - outside.start) >> PAGE_SHIFT
        yield (
            f"  {{ start = {_hex(outside.start)}, pages = {_hex(pages)}, "
            f'type = "{outside.memory_type.name}", attribute = {outside.attribute:#x} }},'
        )
    yield "]"
    if model.pool_room:
        yield ""
        yield "# Types whose pools have room for small requests in pages that they hold."
        yield "pool_room = [" + ", ".join(f'"{kind.name}"' for kind in model.pool_room) + "]"
    if model.dma != NO_DMA:
        yield ""
        yield "# Pages made shared for DMA and accepted again: see tdvfsh.td.dma."
        yield "[dma]"
        for field in fields(model.dma):
            value = getattr(model.dma, field.name)
            if value != field.default:
                text = _hex(value) if field.name == "pool_below" else str(value).lower()
                yield f"{field.name} = {text}"
    for name, stage in model.stages.items():
        yield ""
        yield from _stage_lines(name, stage)
    if model.above_4g:
        yield ""
        yield "# The same in a machine that has RAM above 4 GiB."
        yield f"[{ABOVE_4G}]"
        yield f"vcpus = {model.above_4g[DIRECT].vcpus}"
    for name, stage in model.above_4g.items():
        yield ""
        yield from _stage_lines(f"{ABOVE_4G}.{name}", stage)


def _stage_lines(name: str, stage: FirmwareStage) -> Iterator[str]:
    yield f"[{name}]"
    yield "fixed = ["
    yield from (_piece_line("start", piece.start, piece) for piece in stage.fixed)
    yield "]"
    yield "top = ["
    yield from (_piece_line("below", -piece.start, piece) for piece in stage.top)
    yield "]"
    yield "calls = ["
    yield from (f"  {{ {_call_text(call)} }}," for call in stage.calls)
    yield "]"
    if stage.larger_initrds:
        yield "larger_initrds = ["
        for size, calls in stage.larger_initrds:
            yield f'  {{ over = {size}, calls = """'
            yield from wrap(calls_text(calls), 116, break_on_hyphens=False, break_long_words=False)
            yield '""" },'
        yield "]"


def _piece_line(key: str, value: int, piece: Piece) -> str:
    capabilities = f", caps = {_hex(piece.capabilities)}" if piece.capabilities else ""
    pages = (piece.end - piece.start) >> PAGE_SHIFT
    return f'  {{ {key} = {_hex(value)}, pages = {_hex(pages)}, type = "{piece.memory_type.name}"{capabilities} }},'


def _call_text(call: FirmwareCall) -> str:
    if call.do is not None:
        return f'do = "{call.do}"'
    if call.pool:
        return (
            f'pool = "{call.pool}"'
            + (", initrd = true" if call.initrd else "")
            + (f', ram = "{call.ram}"' if call.ram else "")
        )
    if call.memory_type is not None:
        maximum = "" if call.maximum is None else f", max = {_hex(call.maximum)}"
        return f'alloc = "{call.memory_type.name}", pages = {_hex(call.pages)}{maximum}'
    if call.frees is not None:
        offset = f", offset = {call.offset}" if call.offset else ""
        return f"free = {call.frees}{offset}, pages = {_hex(call.pages)}"
    assert call.address is not None
    return f"free_top = {_hex(-call.address)}, pages = {_hex(call.pages)}"


def _hex(value: int) -> str:
    return f"0x{value:X}"

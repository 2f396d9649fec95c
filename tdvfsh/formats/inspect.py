"""What a file is: every format it has at once, with the facts that loaders read from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from enum import Enum
from pathlib import Path

from tdvfsh.errors import FormatError
from tdvfsh.formats.bootconfig import BOOTCONFIG_MAGIC
from tdvfsh.formats.compression import UnpackLimits, codec_at
from tdvfsh.formats.cpio import CPIO_ODC_MAGIC, is_cpio
from tdvfsh.formats.initrd import parse_initrd
from tdvfsh.formats.linux import is_bzimage, parse_bzimage
from tdvfsh.formats.mapped import ByteSource, open_mapped
from tdvfsh.formats.pe.findings import findings
from tdvfsh.formats.pe.parse import PeImage, parse_pe
from tdvfsh.formats.pe.protection import policy_verdicts
from tdvfsh.formats.pe.signature_facts import signature_facts
from tdvfsh.formats.pe.uki import parse_uki
from tdvfsh.formats.tcg.event_log import SHA384, is_event_log, parse_event_log
from tdvfsh.formats.tcg.event_words import event_words
from tdvfsh.formats.tcg.registers import after_extensions, extensions_of
from tdvfsh.formats.tdvf import find_tdvf, parse_tdvf
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.status import SUCCESS

_PE_BEGINNINGS: Final = (b"MZ", b"VZ", b"PE\0\0")


def inspect_file(
    path: str | Path,
    progress: Callable[[int, int], None] | None = None,
    limits: UnpackLimits | None = None,
) -> dict[str, object]:
    """Everything known of a file, as plain values: the shape that ``tdvfsh inspect --json`` prints.

    Args:
        path: The file.
        progress: Progress callback (bytes done, bytes of the file) while an initrd is unpacked.
        limits: What to refuse as a decompression bomb.

    Returns:
        ``path``, ``size``, ``formats`` (those that hold, among ``pe bzimage uki initrd tdvf event_log``), and a
        dictionary for each. ``pe`` is there for anything that begins like a PE image, with the status that firmware
        returns for it.

    Raises:
        HostError, FormatError: It cannot be read, is of no known format, or is damaged.
    """
    with open_mapped(path) as file:
        return inspect_source(file.source, progress, limits)


def inspect_source(
    source: ByteSource,
    progress: Callable[[int, int], None] | None = None,
    limits: UnpackLimits | None = None,
) -> dict[str, object]:
    """:func:`inspect_file` for bytes that are open already; ``path`` is the source's."""
    facts = _inspect(source, progress, limits)
    formats = [name for name in facts if name != "pe" or facts["pe"]["status"] == SUCCESS.name]
    return {"path": source.path, "size": source.size, "formats": formats, **facts}


def _inspect(
    source: ByteSource, progress: Callable[[int, int], None] | None, limits: UnpackLimits | None
) -> dict[str, dict[str, object]]:
    path = source.path
    if source.size == 0:
        raise FormatError(path, "the file is empty")
    facts: dict[str, dict[str, object]] = {}
    if source.peek(0, 4).startswith(_PE_BEGINNINGS):
        facts["pe"] = _pe(source)
    if is_bzimage(source):
        facts["bzimage"] = _plain(asdict(parse_bzimage(source, path)))
    if facts.get("pe", {}).get("status") == SUCCESS.name and _has_kernel_section(source):
        facts["uki"] = _plain(asdict(parse_uki(source, path)))
    if not facts and find_tdvf(source, path) is not None:
        facts["tdvf"] = _plain(asdict(parse_tdvf(source, path)))
    if not facts and is_event_log(source):
        facts["event_log"] = _event_log(source)
    if not facts and _looks_like_initrd(source):
        facts["initrd"] = _plain(asdict(parse_initrd(source, path, progress, limits)))
    if not facts:
        what = "neither a PE image, a Linux kernel, an initrd, firmware with TDX metadata nor an event log"
        raise FormatError(path, what)
    return facts


def _event_log(source: ByteSource) -> dict[str, object]:
    """A TD's log with the registers that it leads to; a TPM's log leads to none."""
    log = parse_event_log(source, source.path)
    is_td = SHA384 in log.algorithms
    registers = after_extensions(extension for _, extension in extensions_of(log)) if is_td else ()
    events = [
        {
            "number": event.number,
            "mr_index": event.mr_index,
            "rtmr": event.rtmr,
            "type": event.type_name,
            "digests": [digest.hex() for _, digest in event.digests],
            "words": event_words(event),
        }
        for event in log.events
    ]
    return {
        "algorithms": log.algorithm_names,
        "log_bytes": log.size,
        "rtmr": [value.hex() for value in registers],
        "events": events,
    }


def _pe(source: ByteSource) -> dict[str, object]:
    verdict = parse_pe(source)
    if isinstance(verdict, PeImage):
        wrong = [{"what": finding.what, "effect": finding.effect} for finding in findings(verdict)]
        signed = signature_facts(verdict, source)
        protected = [one._asdict() for one in policy_verdicts(verdict)]
        judged = {"findings": wrong, "protection": protected, "signatures": signed}
        return {"status": SUCCESS.name, **_plain(asdict(verdict)), **judged}
    return {"status": verdict.status.name, "image_error": int(verdict.image_error), "why": verdict.why}


def _has_kernel_section(source: ByteSource) -> bool:
    verdict = parse_pe(source)
    return isinstance(verdict, PeImage) and verdict.section(".linux") is not None


def _looks_like_initrd(source: ByteSource) -> bool:
    start = source.skip_zeros(0)
    head = source.peek(start, 6)
    tail = source.peek(max(source.size - 16, 0), 16)
    return is_cpio(head) or head == CPIO_ODC_MAGIC or codec_at(source, start) is not None or BOOTCONFIG_MAGIC in tail


def _plain(facts: dict[str, object]) -> dict[str, object]:
    """Dataclass fields as values that JSON knows; path and size are the file's and stand above."""
    return {name: _value(value) for name, value in facts.items() if name not in ("path", "file_size")}


def _value(value: object) -> object:
    if isinstance(value, Enum) and not isinstance(value, int):
        return value.value
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, dict):
        return {name: _value(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(item) for item in value]
    return str(value)

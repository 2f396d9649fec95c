"""What a file is, in readable form: the facts of :func:`tdvfsh.formats.inspect.inspect_file` as short aligned lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap

from tdvfsh.lazy_typing import Any, Final
from tdvfsh.report.table import printable, table_lines
from tdvfsh.uefi.tdx import TdvfSectionAttributes, TdvfSectionType
from tdvfsh.units import human_size

Facts = Mapping[str, Any]
Rows = list[tuple[str, str]]

_FORMATS: Final = {
    "pe": "PE image",
    "bzimage": "Linux kernel (bzImage)",
    "uki": "unified kernel image",
    "initrd": "initrd",
    "tdvf": "firmware for trust domains (TDVF)",
    "event_log": "event log of measurements",
}
_MACHINES: Final = {
    0x8664: "X64",
    0x14C: "IA32",
    0xAA64: "AArch64",
    0x1C2: "ARM",
    0x1C0: "ARM",
    0xEBC: "EFI byte code",
    0x5064: "RISC-V 64",
    0x6264: "LoongArch 64",
    0x200: "IA64",
}
_SUBSYSTEMS: Final = {10: "EFI application", 11: "EFI boot service driver", 12: "EFI runtime driver", 13: "EFI ROM"}
_VERDICTS: Final = {
    "runs": "runs",
    "unprotected": "loaded without protection",
    "faults": "loaded, and stopped when it runs",
    "refused": "refused",
}
_MOST_SEGMENTS: Final = 16
_WIDTH: Final = 100
_DIGEST_SHOWN: Final = 16


def inspect_lines(facts: Mapping[str, object]) -> list[str]:
    """Lines for a file's facts: path, size and formats, then a block for each format."""
    names = [_FORMATS.get(str(name), str(name)) for name in _sequence(facts.get("formats"))]
    lines = [
        printable(str(facts["path"])),
        *_block([("size", exact_size(_number(facts, "size"))), ("is", " and ".join(names) or "nothing that loads")]),
    ]
    for name, describe in _BLOCKS.items():
        part = facts.get(name)
        if isinstance(part, Mapping):
            lines += ["", _title(name), *describe(part)]
    return lines


def exact_size(size: int) -> str:
    """``38.84 MiB (40,722,432 bytes)``."""
    return f"{human_size(size)} ({size:,} bytes)" if size >= 1024 else f"{size} bytes"


def _title(name: str) -> str:
    title = _FORMATS[name]
    return title[0].upper() + title[1:]


def _pe(facts: Facts) -> list[str]:
    if facts["status"] != "EFI_SUCCESS":
        return _block([("LoadImage", f"{facts['status']}: {facts['why']}")])
    machine, subsystem = int(facts["machine"]), int(facts["subsystem"])
    relocations = "stripped: loads at its own base only" if facts["relocations_stripped"] else "yes, or none needed"
    rows: Rows = [
        ("machine", f"{_MACHINES.get(machine, 'unknown')} ({machine:#06x})"),
        ("subsystem", f"{_SUBSYSTEMS.get(subsystem, 'not one of EFI')} ({subsystem})"),
        ("SizeOfImage", exact_size(int(facts["size_of_image"]))),
        ("ImageBase", f"{int(facts['image_base']):#x}"),
        ("entry point", f"{int(facts['address_of_entry_point']):#x}"),
        ("alignment", f"sections {int(facts['section_alignment']):#x}, file {int(facts['file_alignment']):#x}"),
        ("relocatable", relocations),
        *_signatures(facts["signatures"]),
        *_protection(facts),
    ]
    return [*_block(rows), *_pe_sections(facts), *_pe_findings(facts)]


def _signatures(facts: Facts) -> Rows:
    digest = facts["sha256"]
    rows: Rows = [("SHA-256", f"{digest} (Authenticode)" if digest else "none: its headers do not fit its size")]
    if not facts["count"]:
        return [("signed", "no"), *rows]
    if facts["signed_by"] is None:
        return [("signed", "yes; by whom needs the extra: pip install 'tdvfsh[secureboot]'"), *rows]
    for one in facts["signed_by"]:
        if one["signer"] is None:
            rows.insert(-1, ("signed", "by a signature that is not one of PKCS#7"))
            continue
        changed = "" if one["fits"] else "; the signature does not fit this file"
        rows.insert(-1, ("signed by", f"{one['signer']}, of {one['issuer']}{changed}"))
    if not facts["whole_table"]:
        rows.insert(-1, ("certificates", "the table is damaged: with Secure Boot firmware refuses the image"))
    return rows


def _protection(facts: Facts) -> Rows:
    """What firmware with memory protection makes of it; ``ovmf`` loads everything as it is."""
    rows: Rows = []
    for one in _sequence(facts.get("protection"))[1:]:
        why = f": {printable(str(one['why']))}" if one["why"] else ""
        shim = f"; faults where shim starts it: {printable(str(one['by_shim']))}" if one["by_shim"] else ""
        rows.append((f"protect {one['policy']}", f"{_VERDICTS[one['verdict']]}{why}{shim}"))
    return rows


def _pe_findings(facts: Facts) -> list[str]:
    """What is wrong with it, a block each, wrapped."""
    lines: list[str] = []
    for finding in _sequence(facts.get("findings")):
        text = f"{printable(str(finding['what']))}: {finding['effect']}"
        lines += wrap(text, _WIDTH, initial_indent="  warning  ", subsequent_indent=" " * 11)
    return lines


def _pe_sections(facts: Facts) -> list[str]:
    sections = _sequence(facts.get("sections"))
    if not sections:
        return []
    rows = [
        (
            str(section["name"]),
            f"{int(section['virtual_address']):#x}",
            f"{int(section['virtual_size']):#x}",
            f"{int(section['pointer_to_raw_data']):#x}",
            f"{int(section['size_of_raw_data']):#x}",
        )
        for section in sections
    ]
    return table_lines([("section", "address", "in memory", "in file at", "in file"), *rows], " >>>>", "  ")


def _bzimage(facts: Facts) -> list[str]:
    version = int(facts["version"])
    rows: Rows = [("boot protocol", f"{version >> 8}.{version & 0xFF:02}")]
    if facts.get("kernel_version"):
        rows.append(("version", str(facts["kernel_version"])))
    rows += [
        ("setup", exact_size(int(facts["setup_size"]))),
        ("payload", _payload(facts)),
        ("init_size", exact_size(int(facts["init_size"]))),
        ("preferred", f"{int(facts['pref_address']):#x}, aligned to {human_size(int(facts['kernel_alignment']))}"),
        ("relocatable", _yes(facts["relocatable_kernel"])),
        ("initrd below", f"{int(facts['initrd_addr_max']):#x}"),
    ]
    if facts.get("kernel_buffer_size"):
        rows.append(("EFI stub", f"{facts['stub_generation']}, buffer {exact_size(int(facts['kernel_buffer_size']))}"))
        rows.append(("LoadFile2", f"initrd by LoadFile2: {_yes(facts['uses_load_file2'])}"))
        rows.append(("lazy accept", f"unaccepted memory in the EFI stub: {_yes(facts['supports_unaccepted_memory'])}"))
    return _block(rows)


def _payload(facts: Facts) -> str:
    text = f"{facts.get('payload_format') or 'unknown'}, {exact_size(int(facts['payload_length']))}"
    unpacked = facts.get("output_len")
    return f"{text}, unpacks to {exact_size(int(unpacked))}" if unpacked else text


def _uki(facts: Facts) -> list[str]:
    rows: Rows = [(str(name), str(facts[name])) for name in ("uname", "cmdline") if facts.get(name)]
    for line in str(facts.get("osrel") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            rows.append(("system", line.partition("=")[2].strip('"')))
    sections = [
        (str(section["name"]), f"{int(section['offset']):#x}", exact_size(int(section["size"])))
        for section in _sequence(facts.get("sections"))
    ]
    return [*_block(rows), *table_lines([("section", "in file at", "size"), *sections], " >", "  ")]


def _initrd(facts: Facts) -> list[str]:
    segments = _sequence(facts.get("segments"))
    archives = [segment for segment in segments if segment["format"] != "bootconfig"]
    unpacked = sum(int(segment["unpacked_size"]) for segment in archives)
    rows = [
        (
            str(segment["format"]),
            f"{int(segment['offset']):#x}",
            exact_size(int(segment["size"])),
            exact_size(int(segment["unpacked_size"])),
        )
        for segment in segments[:_MOST_SEGMENTS]
    ]
    lines = _block([("segments", str(len(segments))), ("unpacked", exact_size(unpacked))])
    lines += table_lines([("format", "in file at", "packed", "unpacked"), *rows], " >>>", "  ")
    if len(segments) > _MOST_SEGMENTS:
        lines.append(f"  and {len(segments) - _MOST_SEGMENTS:,} more segments")
    return lines


def _tdvf(facts: Facts) -> list[str]:
    rows = [
        (
            TdvfSectionType(int(section["type"])).name,
            f"{int(section['memory_address']):#x}",
            exact_size(int(section["memory_data_size"])),
            exact_size(int(section["raw_data_size"])) if section["raw_data_size"] else "-",
            _attributes(int(section["attributes"])),
        )
        for section in _sequence(facts.get("sections"))
    ]
    found = f"version {facts['version']}, at {int(facts['offset']):#x} of the file, found by {facts['found_by']}"
    table = table_lines([("section", "address", "in memory", "in file", "attributes"), *rows], " >>>", "  ")
    return [*_block([("metadata", found)]), *table]


def _event_log(facts: Facts) -> list[str]:
    rows = [("digests", ", ".join(map(str, _sequence(facts["algorithms"])))), ("log", exact_size(facts["log_bytes"]))]
    rows += [(f"RTMR{number}", str(value)) for number, value in enumerate(_sequence(facts["rtmr"]))]
    events = [
        (
            str(event["number"]),
            f"MR {event['mr_index']}" if event["rtmr"] is None else f"RTMR{event['rtmr']}",
            str(event["type"]),
            f"{str(event['digests'][-1])[:_DIGEST_SHOWN]}…" if event["digests"] else "-",
            str(event["words"]),
        )
        for event in _sequence(facts["events"])
    ]
    return [*_block(rows), *table_lines([("#", "register", "type", "digest", "says"), *events], ">", "  ")]


def _attributes(value: int) -> str:
    return "|".join(flag.name or "" for flag in TdvfSectionAttributes(value)) or "-"


def _block(rows: Rows) -> list[str]:
    return table_lines(rows, indent="  ")


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _number(facts: Mapping[str, object], name: str) -> int:
    value = facts[name]
    return value if isinstance(value, int) else 0


def _sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()


_BLOCKS: Final = {
    "pe": _pe,
    "bzimage": _bzimage,
    "uki": _uki,
    "initrd": _initrd,
    "tdvf": _tdvf,
    "event_log": _event_log,
}

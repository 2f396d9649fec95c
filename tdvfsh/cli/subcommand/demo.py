"""``tdvfsh demo``: the main job on real images, then one failure and its cures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.boots.compare import compared_boots
from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.output import print_json, print_lines, print_notes
from tdvfsh.cli.progress import unpack_progress
from tdvfsh.errors import TdvfshError, UsageError
from tdvfsh.formats.initrd import Initrd
from tdvfsh.images.listing import ImagePair, find_pair
from tdvfsh.lazy_dataclass import replace
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import BootFiles
from tdvfsh.loaders.flow import LOAD_INITRD
from tdvfsh.machine.options import TdOptions
from tdvfsh.report.boots.boot_json import boot_dict
from tdvfsh.report.boots.boot_text import files_lines, labelled, story_lines
from tdvfsh.report.boots.compare_text import compare_lines, compared_dicts, compared_rows
from tdvfsh.report.modelled_text import range_text
from tdvfsh.report.schema import document
from tdvfsh.report.table import table_lines
from tdvfsh.ui.colour import coloured
from tdvfsh.ui.fit import fit
from tdvfsh.units import GIB, MIB, human_size

_MEMORY: Final = 2 * GIB
_CMDLINE: Final = "console=ttyS0 nokaslr"
_STEP: Final = 16 * MIB
_CURES: Final = (
    ("allocator", "option 1: the DXE allocator accepts before it would say OUT_OF_RESOURCES"),
    ("loader", "option 2: the loader accepts what the failed step lacked, and repeats it"),
    ("service", "option 3: the loader calls AcceptMemory() before the step, for just what is missing"),
)


def run_demo(arguments: Arguments) -> int:
    """The comparison of all policies on a real pair, one failure in full, and its three cures."""
    options = replace(arguments.td_options(), memory=_MEMORY)
    with (
        _pair(arguments.flag("offline")) as pair,
        unpack_progress() as progress,
        open_boot_files(pair.kernel, [pair.initrd], _CMDLINE, progress, _names(pair)) as opened,
    ):
        progress.clear()
        if arguments.flag("json"):
            print_json(_told(options, opened.boot, opened.initrds, pair))
            return 0
        said = []
        for lines in _tell(options, opened.boot, opened.initrds, pair):
            print_lines(lines)
            said += lines
    cast = arguments.optional("cast")
    if cast is not None:
        from tdvfsh.session.cast import WIDTH, write_cast

        write_cast(cast, "tdvfsh demo", coloured(fit("\n".join(said), WIDTH)))
    return 0


def _names(pair: ImagePair) -> list[str]:
    """What to call the files: as commands take them."""
    paths = (pair.kernel, pair.initrd)
    return [f"{pair.image}/{path.name}" if pair.image else str(path) for path in paths]


def _told(options: TdOptions, files: BootFiles, initrds: Sequence[Initrd], pair: ImagePair) -> dict[str, object]:
    """What it shows, for machines."""
    failure = _first_failure(options, files)
    accepts = _compared_accepts(failure)
    cures = {} if failure is None else {name: _cured(failure, name, files) for name, _ in _CURES}
    members = {
        "source": pair.source,
        "image": pair.image,
        "boots": compared_dicts(compared_rows(compared_boots(options, files, accepts))),
        "failure": None if failure is None else boot_dict(failure, initrds),
        "cures": [
            {
                "on_demand": name,
                "booted": result.booted,
                "on_demand_bytes": result.on_demand_bytes,
                "modelled_seconds": result.on_demand_time.seconds,
            }
            for name, result in cures.items()
        ],
    }
    return document("demo", members)


def _compared_accepts(failure: BootResult | None) -> tuple[str, ...]:
    small = f"{failure.boot_bytes // MIB}M" if failure is not None else "256M"
    return ("eager", "below-4g", "512M", "presize:192M", small)


def _cured(failure: BootResult, name: str, files: BootFiles) -> BootResult:
    return boot(replace(failure.machine.options, on_demand=name), files)


def _tell(options: TdOptions, files: BootFiles, initrds: Sequence[Initrd], pair: ImagePair) -> Iterator[list[str]]:
    failure = _first_failure(options, files)
    accepts = _compared_accepts(failure)
    yield [
        f"1. A kernel and its initrd in a TD with {human_size(options.memory)} of RAM",
        "",
        *labelled("source", pair.source),
        *files_lines(boot(options, files), initrds),
        "",
    ]
    yield [*compare_lines(compared_rows(compared_boots(options, files, accepts))), ""]
    if failure is None:
        yield ["With this pair nothing fails, however little is accepted: there is no failure to show."]
        return
    yield [f"2. A failure: only {accepts[-1]} are accepted at boot, and nothing accepts more", ""]
    yield [*story_lines(failure, initrds)[len(files_lines(failure, initrds)) :], ""]
    yield ["3. Its cures", ""]
    for name, what in _CURES:
        result = _cured(failure, name, files)
        outcome = "boots" if result.booted else f"fails: {result.status.name} at {result.stage}"
        yield labelled(name, what)
        initrd = next((entry for entry in result.placements if entry.what == "initrd" and not entry.freed), None)
        rows = [
            ("", outcome, f"{human_size(result.on_demand_bytes)} accepted on demand in {_accepts(result)}",
             f"initrd at {initrd.start:#x}" if initrd else "", f"modelled {range_text(result.on_demand_time)}"),
        ]  # fmt: skip
        yield table_lines(rows, indent="        ")
    shown = pair.image or "KERNEL --initrd F"
    yield [
        "",
        f"Next: 'tdvfsh ladder {shown}', and 'tdvfsh compare KERNEL --initrd F' for your own images.",
        "All times are modelled, not measured: 'tdvfsh cost' names their constants, ranges and sources.",
    ]


def _accepts(result: BootResult) -> str:
    services = ("AcceptMemory", "EdkiiMemoryAcceptProtocol.AcceptMemory")
    count = sum(1 for record in result.machine.trace if record.service == services[1])
    return f"{count} accept" if count == 1 else f"{count} accepts"


def _first_failure(options: TdOptions, files: BootFiles) -> BootResult | None:
    """The boot with the most memory accepted, in steps of 16 MiB, that fails because the initrd does not fit."""
    for size in range(_MEMORY - _STEP, 0, -_STEP):
        chosen = replace(options, accept=parse_boot_accept(f"{size // MIB}M"), on_demand="none", loader="direct")
        try:
            result = boot(chosen, files)
        except UsageError:
            return None
        if not result.booted:
            return result if result.stage == LOAD_INITRD else None
    return None


@contextmanager
def _pair(offline: bool) -> Iterator[ImagePair]:
    """A real pair, or a made one of real sizes; its ``source`` says which."""
    with unpack_progress() as progress:
        try:
            pair = find_pair(progress, allow_fetch=not offline)
        except TdvfshError as error:
            pair = None
            print_notes([f"tdvfsh: {error}"])
    if pair is not None:
        yield pair
        return
    from tdvfsh.images.stand_in import stand_in_pair

    with TemporaryDirectory(prefix="tdvfsh-demo-") as folder:
        yield stand_in_pair(Path(folder))

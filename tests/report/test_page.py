"""The page and the drawing as text; what a browser makes of them stands in test_page_in_browser.py."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from html import unescape
from pathlib import Path
from time import process_time
from xml.etree import ElementTree

import pytest

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.boots.modelled_boot import boot
from tdvfsh.cli.main import main
from tdvfsh.errors import HostError, UsageError
from tdvfsh.history.facts import JournalFacts
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.report.map_svg import map_svg
from tdvfsh.report.page.html import page_html
from tdvfsh.report.report_file import report_text
from tdvfsh.report.trace_file import trace_of_boot, trace_of_machine
from tdvfsh.shell.drives.memoryfiles import MemoryFileSystem
from tdvfsh.shell.shell import Shell
from tdvfsh.td.cost import cost_model
from tdvfsh.trace.file import TraceFile, write_trace_file
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.units import GIB
from tests.boots.made_files import INSTALLER_INITRD, Opener

_OPTIONS = TdOptions(memory=2 * GIB, accept=parse_boot_accept("224M"), on_demand="service")
_PLOTLY_BYTES = 4_900_000


def _facts(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="facts">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    facts: dict[str, object] = json.loads(found[1])
    return facts


def _long_trace(records: int) -> TraceFile:
    machine = Machine(TdOptions(memory=4 * GIB))
    services = machine.services
    while len(machine.trace) < records:
        pages = [
            services.allocate_pages(EfiAllocateType.AllocateAnyPages, EfiMemoryType.EfiLoaderData, size, 0).memory
            for size in (1, 700, 33, 2)
        ]
        buffers = [services.allocate_pool(EfiMemoryType.EfiBootServicesData, size).buffer for size in (100, 9000)]
        services.free_pages(pages[1], 700)
        services.free_pool(buffers[0] or 0)
    return trace_of_machine(machine)


def _seconds(trace: TraceFile) -> float:
    """Of this process alone: what others do on the same machine does not count."""
    begin = process_time()
    page_html(trace)
    return process_time() - begin


def test_the_account_of_a_page_is_the_boots_own(opened: Opener) -> None:
    for on_demand in ("none", "allocator", "loader", "service"):
        result = boot(replace(_OPTIONS, on_demand=on_demand), opened(INSTALLER_INITRD).boot)
        facts = JournalFacts(trace_of_boot(result))
        assert (facts.boot_bytes, facts.on_demand_bytes, facts.left_bytes) == (
            result.boot_bytes,
            result.on_demand_bytes,
            result.left_to_os_bytes,
        )
        assert facts.accept_ns == result.machine.clock.now_ns


def test_placements_stand_between_their_records(opened: Opener) -> None:
    facts = JournalFacts(trace_of_boot(boot(_OPTIONS, opened(INSTALLER_INITRD).boot)))
    by_name = {thing.what: thing for thing in facts.things}
    records = facts.file.records
    assert records[by_name["kernel"].since].results["memory"] == by_name["kernel"].start
    gone = by_name["file_buffer"].until
    assert gone is not None
    assert records[gone].service == "FreePool"
    assert by_name["initrd"].until is None
    names = [step.what for step in facts.steps if step.service.startswith("Allocate")]
    assert names == ["kernel_file", "initrd_file", "file_buffer", "image", "kernel", "initrd"]


def test_a_failure_is_a_step_and_the_verdict_says_why(opened: Opener) -> None:
    result = boot(replace(_OPTIONS, on_demand="none"), opened(INSTALLER_INITRD).boot)
    trace = trace_of_boot(result)
    failed = [step for step in JournalFacts(trace).steps if step.failed]
    assert {step.service for step in failed} == {"AllocatePages", "StartImage"}
    assert result.failure is not None
    assert result.failure.why in page_html(trace)


def test_the_page_tells_what_was_accepted_again_after_dma(opened: Opener) -> None:
    result = boot(replace(_OPTIONS, accept=parse_boot_accept("512M"), profile="lazy-v2"), opened(INSTALLER_INITRD).boot)
    page = page_html(trace_of_boot(result))
    assert "accepted again, after DMA" in page
    assert f"{result.dma_pages:,} pages" in page
    assert "pages shared for DMA" in page
    assert page.count('<td class="mono" data-label="Where">the TD HOB list</td>') == 1  # SEC's


def test_a_page_of_ten_thousand_records_is_built_in_a_second_and_small() -> None:
    trace, half = _long_trace(10_000), _long_trace(5_000)
    page = page_html(trace)  # imports, too
    rounds = [(_seconds(half), _seconds(trace)) for _ in range(4)]
    least_half, least = (min(times) for times in zip(*rounds, strict=True))
    assert least < 1.0
    assert least < 2.6 * least_half  # in proportion to the records
    assert len(page) - _PLOTLY_BYTES < 3_000_000
    assert len(_facts(page)["records"]) == len(trace.records)  # type: ignore[arg-type]


def test_nothing_that_a_trace_says_can_become_markup() -> None:
    machine = Machine(TdOptions())
    evil = "</script><script>alert(1)</script><!--"
    machine.trace.note(evil, caller_said=evil)
    page = page_html(trace_of_machine(machine))
    assert evil not in page
    assert "</script><script>alert" not in page
    assert evil in str(_facts(page)["shapes"])


def test_the_page_names_no_other_place_and_forbids_the_network() -> None:
    page = page_html(trace_of_machine(Machine(TdOptions())))
    own = re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)=.?(https?:)?//", own)
    assert "default-src 'none'" in own


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = trace_of_machine(Machine(TdOptions()))
    for missing in ("jinja2", "plotly"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, missing, None)
            with pytest.raises(HostError, match=r"pip install 'tdvfsh\[report\]'"):
                page_html(trace)
            assert report_text("x.svg", trace).startswith("<svg")


def test_the_drawing_is_well_formed_and_holds_every_type() -> None:
    machine = Machine(TdOptions(memory=2 * GIB))
    root = ElementTree.fromstring(map_svg(trace_of_machine(machine)))
    words = " ".join(text for element in root.iter() for text in [element.text or ""])
    assert "accepted at boot" in words
    for name in ("Available", "Unaccepted", "BS_Data", "RT_Code"):
        assert name in words


@pytest.mark.parametrize("name", ["x.pdf", "x", "html"])
def test_a_name_without_a_form_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"\.html or an \.svg"):
        report_text(name, trace_of_machine(Machine(TdOptions())))


def test_the_command_reports_the_last_boot_or_the_shells_td(cloud_kernel: Path) -> None:
    shell = Shell()
    files = MemoryFileSystem("TEST")
    shell.mount(files)
    files.write_file("linux", cloud_kernel.read_bytes())
    assert shell.run_line("report -o a.html") == 0
    assert "The journal of a 4 GiB TD" in (shell.read_file("a.html") or b"").decode()
    assert shell.run_line("report -o nothing.txt") != 0
    assert shell.run_line("report -o nowhere9:\\a.svg") != 0


def test_tdvfsh_report_makes_a_page_from_a_kernel_and_from_a_trace(
    cloud_kernel: Path, opened: Opener, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "boot.html"
    assert main(["report", str(cloud_kernel), "--memory", "2G", "-o", str(page), "--no-compare"]) == 0
    assert "vmlinuz in a 2 GiB TD" in page.read_text()
    trace = tmp_path / "boot.trace"
    write_trace_file(trace, trace_of_boot(boot(_OPTIONS, opened(INSTALLER_INITRD).boot)))
    drawing = tmp_path / "boot.svg"
    assert main(["report", str(trace), "-o", str(drawing)]) == 0
    assert "38.84 MiB on demand" in drawing.read_text()
    assert main(["report", str(trace), "-o", str(tmp_path / "no" / "such.svg")]) == 2
    assert main(["report", str(cloud_kernel), "-o", "x.pdf"]) == 2
    assert main(["report", str(tmp_path / "missing"), "-o", str(page)]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_page_names_the_constants_with_their_ranges_and_sources(opened: Opener) -> None:
    trace = trace_of_boot(boot(_OPTIONS, opened(INSTALLER_INITRD).boot))
    section = page_html(trace).partition('id="cost"')[2].partition("</section>")[0]
    for name, constant in cost_model().constants.items():
        assert f'<th scope="row" data-label="Constant">{name}</th>' in section
        assert constant.source in unescape(section)
    assert "KVM of 2026" in section
    assert JournalFacts(trace).accept_range is not None
    assert "likely" in map_svg(trace)

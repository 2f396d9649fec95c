"""Results in a real notebook kernel: what a cell that ends with one shows."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient

from tdvfsh.images.make import make_kernel
from tdvfsh.notebook import MOST_ROWS, table_html
from tdvfsh.units import MIB

CELLS = (
    "from tdvfsh import Machine, boot, compare, open_boot_files, td_options\n"
    "machine = Machine(td_options('2G', '512M'))\n"
    "machine",
    "machine.memory_map",
    "with open_boot_files({kernel!r}) as opened:\n"
    "    result = boot(td_options('2G', '512M', loader='grub2.12'), opened.boot)\n"
    "    rows = compare(td_options('2G'), opened.boot, ['16M', 'eager'], ['none'], ['direct'])\n"
    "result",
    "rows",
    "rows[0]",
)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """What each cell shows, by media type."""
    folder = tmp_path_factory.mktemp("notebook")
    kernel = folder / "linux"
    make_kernel(kernel, 12 * MIB, 60 * MIB)
    notebook = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    for cell in CELLS:
        code = nbformat.v4.new_code_cell(cell.format(kernel=str(kernel)))  # type: ignore[no-untyped-call]
        notebook.cells.append(code)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    return [next(output["data"] for output in cell.outputs if "data" in output) for cell in notebook.cells]


def test_a_machine_shows_what_it_is_and_its_memory_map(shown: list[dict[str, str]]) -> None:
    html = shown[0]["text/html"]
    assert "<b>2 GiB TD, firmware " in html
    assert "<td>EfiConventionalMemory</td>" in html
    assert shown[0]["text/plain"].startswith("<Machine: 2 GiB TD")


def test_a_memory_map_shows_every_descriptor(shown: list[dict[str, str]]) -> None:
    html = shown[1]["text/html"]
    assert html.count("<tr>") == 1 + int(shown[1]["text/plain"].split()[3])
    assert "<td>EfiUnacceptedMemoryType</td>" in html


def test_a_boot_shows_its_outcome_and_its_placements(shown: list[dict[str, str]]) -> None:
    html = shown[2]["text/html"]
    assert "<b>grub2.12: booted, 512 MiB accepted at boot in " in html
    assert "<td>kernel</td>" in html


def test_a_comparison_shows_a_row_for_each_boot(shown: list[dict[str, str]]) -> None:
    html = shown[3]["text/html"]
    assert "<b>Comparison of 2 boots: 1 booted, 1 did not</b>" in html
    assert html.count("<tr>") == 3
    assert "<td>not started: " in html
    assert "text/html" not in shown[4]
    assert shown[4]["text/plain"].startswith("<ComparedBoot 16M, direct, none: not started: ")


def test_no_text_of_a_file_becomes_markup() -> None:
    html = table_html("<i>", ("<b>",), [("<script>",), (1234,)])
    assert "<script>" not in html
    assert "<i>" not in html
    assert ">1,234</td>" in html


def test_a_long_table_is_cut_with_a_line_that_says_so() -> None:
    html = table_html("many", ("n",), [(number,) for number in range(MOST_ROWS + 5)])
    assert html.count("<tr>") == 1 + MOST_ROWS
    assert html.endswith("<p>and 5 more rows</p>")

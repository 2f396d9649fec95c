"""The map as bars in a terminal."""

from __future__ import annotations

import pytest

from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.report.map_plot import mark_of, plot_lines
from tdvfsh.shell.shell import Shell
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.units import GIB, MIB, TIB

_AVAILABLE, _UNACCEPTED = 7, 15


class _Sink:
    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def close(self) -> None:
        pass


def test_a_cell_shows_what_fills_most_of_it_and_the_tail_is_said_in_words() -> None:
    descriptors = [
        MemoryDescriptor(_AVAILABLE, 0, 1024, 0),
        MemoryDescriptor(2, 4 * MIB, 1024, 0),
        MemoryDescriptor(_UNACCEPTED, 8 * MIB, 262144 - 2048, 0),
    ]
    lines = plot_lines(descriptors, [(0, GIB)], 100, blocks=False)
    tail = next(index for index, line in enumerate(lines) if "of Unaccepted" in line)
    rows = "".join(line[14:] for line in lines[1:tail])
    assert rows.startswith("====")
    assert set(rows) == {"=", "l", "."}
    assert abs(rows.count("=") - rows.count("l")) <= 1
    assert lines[tail].endswith("of Unaccepted up to 3fffffff")


@pytest.mark.parametrize("width", [10, 40, 80, 200])
@pytest.mark.parametrize("blocks", [True, False])
def test_no_line_is_wider_than_the_window_from_40_columns_on(width: int, blocks: bool) -> None:
    machine = Machine(TdOptions(memory=4 * GIB))
    ram = [(span.start, span.end) for span in machine.td.ram.spans]
    lines = plot_lines(machine.services.memory_map_view().descriptors, ram, width, blocks=blocks)
    assert max(len(line) for line in lines) <= max(width, 66)
    assert blocks or all(line.isascii() for line in lines)


def test_a_64_tib_machine_is_as_few_lines_as_a_small_one() -> None:
    small, large = (Machine(TdOptions(memory=memory)) for memory in (4 * GIB, 64 * TIB))
    counts = [
        len(
            plot_lines(
                machine.services.memory_map_view().descriptors,
                [(span.start, span.end) for span in machine.td.ram.spans],
                80,
                blocks=False,
            )
        )
        for machine in (small, large)
    ]
    assert abs(counts[0] - counts[1]) <= 2


def test_every_type_has_a_letter_of_its_own() -> None:
    letters = [mark_of(kind, blocks=False) for kind in EfiMemoryType]
    assert len(set(letters)) == len(EfiMemoryType)
    assert "?" not in letters


def test_memmap_plot_draws_with_letters_into_a_pipe() -> None:
    shell = Shell()
    sink = _Sink()
    shell.stdout = sink
    shell.run_line("memmap -plot")
    assert "Unaccepted" in sink.text
    assert sink.text.isascii()
    assert max(map(len, sink.text.splitlines())) <= 80

"""Sweeps: each scenario once, whatever happens in between, and the same bytes wherever it runs."""

from __future__ import annotations

import csv
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.boots.started import StartedMachines
from tdvfsh.errors import FormatError, HostError, UsageError
from tdvfsh.images.fetch import fetch
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.options import TdOptions
from tdvfsh.sweep import executors
from tdvfsh.sweep.axes import options_at
from tdvfsh.sweep.executors import cluster_workers, local_workers
from tdvfsh.sweep.facts import boot_files
from tdvfsh.sweep.images import read_images
from tdvfsh.sweep.row import COLUMNS, Row
from tdvfsh.sweep.run import BATCH, run_sweep, scenarios
from tdvfsh.sweep.spec import read_spec
from tdvfsh.sweep.store import RESULTS, TABLE, ResultStore, read_results
from tests.sweep.conftest import MADE, SpecFile

TDVFSH = [sys.executable, "-m", "tdvfsh"]
CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""
MANY = MADE + '[[grid]]\nmemory = "2G"\naccept = { from = "80M", to = "579M", step = "1M" }\nloader = "direct"\n'

REAL_GRID = """
[[grid]]
memory = ["1G", "2G"]
accept = [{ from = "64M", to = "544M", step = "16M" }]
on_demand = ["none", "allocator", "service", "loader"]
loader = ["direct", "grub2.12"]
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Dask cluster of two workers on this host."""
    script = tmp_path_factory.mktemp("cluster") / "cluster.py"
    script.write_text(CLUSTER)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL, **pipes) as process:  # type: ignore[call-overload]
        yield process.stdout.readline().strip()
        process.stdin.close()


def _sweep(spec: Path, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TDVFSH, "sweep", spec, "-o", folder, *more], capture_output=True, text=True, timeout=120, check=False
    )


def _wait_for_results(process: subprocess.Popen[Any], results: Path, least: int) -> None:
    """Until a sweep that is at work has written so many."""
    limit = time.monotonic() + 60
    while not results.exists() or results.read_bytes().count(b"\n") < least:
        assert time.monotonic() < limit
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.02)


def _sorted_lines(folder: Path) -> list[bytes]:
    return sorted((folder / RESULTS).read_bytes().splitlines())


def test_one_process_two_processes_and_a_dask_cluster_of_two_give_the_same_bytes(
    spec_file: SpecFile, tmp_path: Path, cluster: str
) -> None:
    spec = spec_file()
    ways = {"one": ("--jobs", "1"), "two": ("--jobs", "2"), "dask": ("--cluster", cluster)}
    for name, way in ways.items():
        done = _sweep(spec, tmp_path / name, *way)
        assert (done.returncode, done.stdout.splitlines()[0]) == (
            0,
            "80 scenarios: 44 boots, 20 fails, 16 not started",
        ), done.stderr
    lines = [_sorted_lines(tmp_path / name) for name in ways]
    assert len(lines[0]) == 80
    assert lines[0] == lines[1] == lines[2]
    tables = [(tmp_path / name / TABLE).read_bytes() for name in ways]
    assert tables[0] == tables[1] == tables[2]


@pytest.mark.images
def test_real_images_give_the_same_bytes_from_one_process_and_from_two_of_which_the_first_try_was_killed(
    spec_file: SpecFile, tmp_path: Path
) -> None:
    try:
        files = fetch("installer-13").files
    except HostError as error:
        pytest.skip(f"no package archive here: {error}")
    spec = spec_file(f'[[image]]\nkernel = "{files["kernel"]}"\ninitrd = "{files["initrd"]}"\n{REAL_GRID}')
    process = subprocess.Popen(
        [*TDVFSH, "sweep", spec, "-o", tmp_path / "two", "--jobs", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _wait_for_results(process, tmp_path / "two" / RESULTS, 100)
    process.kill()
    process.wait()
    before = len(read_results(tmp_path / "two"))
    assert 100 <= before < 496
    assert f"{496 - before} run in" in _sweep(spec, tmp_path / "two", "--jobs", "2").stderr
    assert "496 run in" in _sweep(spec, tmp_path / "one", "--jobs", "1").stderr
    assert _sorted_lines(tmp_path / "one") == _sorted_lines(tmp_path / "two")
    assert len({row["key"] for row in read_results(tmp_path / "two")}) == 496


def test_a_row_holds_what_the_boot_of_the_same_options_says(
    swept: Callable[..., list[Row]], spec_file: SpecFile
) -> None:
    rows = swept()
    spec = read_spec(spec_file())
    images = read_images(spec.images)
    for scenario, row in zip(scenarios(images, spec.grids), rows, strict=True):
        assert tuple(row) == COLUMNS
        if row["outcome"] == "not started":
            assert "does not start" in str(row["why"])
            continue
        result = boot(options_at(scenario.point), boot_files(images[scenario.image]))
        assert row["outcome"] == ("boots" if result.booted else "fails")
        assert (row["status"], row["stage"]) == (result.status.name, result.stage)
        assert row["boot_accept_seconds"] == result.boot_accept_seconds
        assert row["boot_bytes"] + row["on_demand_bytes"] + row["left_to_os_bytes"] == row["memory"]  # type: ignore[operator]
        assert row["asked_bytes"] == (result.failure.asked_bytes if result.failure else None)


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def test_two_workers_cost_hardly_more_than_one_process_and_who_hands_out_the_work_next_to_nothing(
    spec_file: SpecFile, tmp_path: Path
) -> None:
    # Which is all that twice the rate takes, where there are two processors to be had. What a busy host adds to one run
    # it does not add to each of three.
    spec = read_spec(spec_file(MANY))
    images = read_images(spec.images)
    starting = 2 * 0.5  # a worker's interpreter and imports, once
    shares: list[tuple[float, float]] = []
    gc.collect()
    gc.freeze()  # what earlier tests left in this process is not looked through again and again
    for run in range(3):
        spent = {}
        for jobs in (1, 2):
            parent, workers = _cpu(resource.RUSAGE_SELF), _cpu(resource.RUSAGE_CHILDREN)
            with ResultStore(tmp_path / f"{jobs}-{run}") as store, local_workers(jobs) as pool:
                run_sweep(images, spec.grids, store, pool)
            spent[jobs] = _cpu(resource.RUSAGE_SELF) - parent, _cpu(resource.RUSAGE_CHILDREN) - workers
        (alone, _), (parent, workers) = spent[1], spent[2]
        shares.append((parent / alone, (workers - starting) / alone))
        if parent < 0.1 * alone and workers < 1.3 * alone + starting:
            break
    gc.unfreeze()
    assert shares[-1][0] < 0.1, shares
    assert shares[-1][1] < 1.3, shares


def test_killed_in_the_middle_again_and_again_a_sweep_ends_complete_with_nothing_twice(
    spec_file: SpecFile, tmp_path: Path
) -> None:
    spec, folder = spec_file(MANY), tmp_path / "killed"
    results = folder / RESULTS
    for least in (1, 150, 350):
        process = subprocess.Popen(
            [*TDVFSH, "sweep", spec, "-o", folder, "--jobs", "2"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _wait_for_results(process, results, least)
        os.kill(process.pid, signal.SIGKILL)  # the parent alone: its workers have to notice
        process.wait()
    with results.open("ab") as file:  # what a power cut leaves
        file.write(b'{"key":"torn')
    before = results.read_bytes().count(b"\n")
    assert 350 <= before < 1000
    done = _sweep(spec, folder)
    assert done.returncode == 0, done.stderr
    rows = read_results(folder)
    spec_read = read_spec(spec)
    wanted = [scenario.key for scenario in scenarios(read_images(spec_read.images), spec_read.grids)]
    assert len(rows) == len(wanted) == 1000
    assert {row["key"] for row in rows} == set(wanted)
    assert f"tdvfsh: {1000 - before} run in" in done.stderr


def test_the_workers_of_a_killed_sweep_end_with_it(spec_file: SpecFile, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    process = subprocess.Popen(
        [*TDVFSH, "sweep", spec_file(MANY), "-o", folder, "--jobs", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _wait_for_results(process, folder / RESULTS, 1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    limit = time.monotonic() + 60
    while True:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < limit


def test_ctrl_c_ends_a_sweep_with_one_line_and_the_next_run_goes_on(spec_file: SpecFile, tmp_path: Path) -> None:
    spec, folder = spec_file(MANY), tmp_path / "stopped"
    process = subprocess.Popen(
        [*TDVFSH, "sweep", spec, "-o", folder, "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _wait_for_results(process, folder / RESULTS, 1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "tdvfsh: interrupted\n")
    done = len(read_results(folder))
    assert f"tdvfsh: {1000 - done} run in" in _sweep(spec, folder).stderr


def test_a_finished_sweep_runs_nothing_again(spec_file: SpecFile, tmp_path: Path) -> None:
    spec, folder = spec_file(), tmp_path / "results"
    first = _sweep(spec, folder, "--jobs", "1")
    second = _sweep(spec, folder, "--jobs", "1")
    assert first.stdout == second.stdout
    assert (second.returncode, second.stderr) == (0, "")


def test_a_larger_spec_adds_to_results_and_another_one_is_refused(spec_file: SpecFile, tmp_path: Path) -> None:
    small = MADE + '[[grid]]\naccept = "512M"\n'
    large = MADE + '[[grid]]\naccept = ["512M", "1G"]\n'
    assert "2 run in" in _sweep(spec_file(small), tmp_path / "results", "--jobs", "1").stderr
    assert "2 run in" in _sweep(spec_file(large), tmp_path / "results", "--jobs", "1").stderr
    refused = _sweep(spec_file(small), tmp_path / "results", "--jobs", "1")
    assert refused.returncode == 2
    assert "holds 2 results that this spec does not ask for" in refused.stderr
    assert len(read_results(tmp_path / "results")) == 4


def test_a_scenario_that_raises_is_a_row_and_not_the_end(
    swept: Callable[..., list[Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    really = StartedMachines.boot

    def fails_once(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 3:
            raise ZeroDivisionError("on purpose")
        return really(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(StartedMachines, "boot", fails_once)
    rows = swept()
    assert len(rows) == 80
    (error,) = [row for row in rows if row["outcome"] == "error"]
    assert error["why"] == "ZeroDivisionError: on purpose"
    assert error["status"] is None


def test_a_boot_that_needs_no_accept_runs_once_for_all_options_and_each_has_its_row(
    swept: Callable[..., list[Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    really = StartedMachines.boot

    def counted(machines: StartedMachines, options: TdOptions, files: BootFiles) -> BootResult:
        calls.append(options)
        return really(machines, options, files)

    monkeypatch.setattr(StartedMachines, "boot", counted)
    options = '["none", "allocator", "loader", "loader-literal", "service"]'
    rows = swept(MADE + f'[[grid]]\naccept = ["96M", "1G"]\non_demand = {options}\n')
    assert len(rows) == 2 * 2 * 5
    assert len(calls) == 2 * (5 + 1)
    for number in range(0, len(rows), 5):
        five = rows[number : number + 5]
        assert [row["on_demand"] for row in five] == ["none", "allocator", "loader", "loader-literal", "service"]
        assert len({row["key"] for row in five}) == 5
        rest = [{name: value for name, value in row.items() if name not in ("key", "on_demand")} for row in five]
        assert (rest == [rest[0]] * 5) is (five[0]["accept"] == "1G")


def test_a_cost_file_that_changes_counts_for_the_next_sweep_of_the_same_process(
    swept: Callable[..., list[Row]], tmp_path: Path
) -> None:
    cost = tmp_path / "host.toml"
    seconds = []
    for number, price in enumerate(("1us", "3us")):
        cost.write_text(f'accept_4k = "{price}"\n')
        rows = swept(MADE + f'[[grid]]\naccept = "1G"\ncost = "kvm-4k,{cost}"\n', f"results{number}")
        seconds.append(float(str(rows[0]["boot_accept_seconds"])))
    assert seconds[1] > seconds[0]


def test_two_sweeps_cannot_work_in_one_folder(tmp_path: Path) -> None:
    with ResultStore(tmp_path / "results"), pytest.raises(HostError, match="another sweep is at work"):
        ResultStore(tmp_path / "results")
    with ResultStore(tmp_path / "results") as free_again:
        assert len(free_again) == 0


@pytest.mark.parametrize("cut", [1, 5, 200])
def test_a_torn_last_line_is_dropped_and_run_again(swept: Callable[..., list[Row]], tmp_path: Path, cut: int) -> None:
    whole = swept()
    path = tmp_path / "results" / RESULTS
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    assert len(read_results(path)) == 79
    assert swept() == whole
    assert path.read_bytes() == data


def test_a_damaged_or_repeated_line_is_named_and_nothing_is_run(
    swept: Callable[..., list[Row]], tmp_path: Path
) -> None:
    swept()
    path = tmp_path / "results" / RESULTS
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged, complaint in (
        ([lines[0], b"\0" * 40 + b"\n", *lines[1:]], "line 2: not JSON"),
        ([lines[0], b'{"key":"a"}\n'], "line 2: not a result of a sweep"),
        ([*lines[:3], lines[1]], "line 4 repeats"),
    ):
        path.write_bytes(b"".join(damaged))
        with pytest.raises(FormatError, match=complaint):
            swept()
        assert path.read_bytes() == b"".join(damaged)


def test_the_table_holds_the_rows_in_the_specs_order(spec_file: SpecFile, tmp_path: Path) -> None:
    assert _sweep(spec_file(), tmp_path / "results").returncode == 0
    with (tmp_path / "results" / TABLE).open(newline="") as file:
        table = list(csv.DictReader(file))
    rows = {str(row["key"]): row for row in read_results(tmp_path / "results")}
    spec = read_spec(spec_file())
    keys = [scenario.key for scenario in scenarios(read_images(spec.images), spec.grids)]
    assert [line["key"] for line in table] == keys
    for line in table:
        assert line == {name: "" if value is None else str(value) for name, value in rows[line["key"]].items()}


def test_progress_is_told_after_each_batch_up_to_the_end(spec_file: SpecFile, tmp_path: Path) -> None:
    spec = read_spec(spec_file())
    told: list[tuple[int, int]] = []
    with ResultStore(tmp_path / "results") as store, local_workers(1) as workers:
        run_sweep(read_images(spec.images), spec.grids, store, workers, lambda done, total: told.append((done, total)))
    assert told[0] == (0, 80)
    assert told[-1] == (80, 80)
    assert len(told) >= 80 // (2 * BATCH)


def test_a_row_is_one_line_of_plain_json(swept: Callable[..., list[Row]], tmp_path: Path) -> None:
    rows = swept()
    lines = [json.loads(line) for line in (tmp_path / "results" / RESULTS).read_text().splitlines()]
    # Lines stand in the order in which the batches were done, rows in the spec's.
    assert sorted(lines, key=lambda line: line["key"]) == sorted(rows, key=lambda row: str(row["key"]))


def test_a_cluster_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "CONNECT_SECONDS", 0.3)
    with pytest.raises(HostError, match="no Dask scheduler answers there"), cluster_workers("tcp://127.0.0.1:9"):
        pass


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(HostError, match=r"pip install 'tdvfsh\[cluster\]'"), cluster_workers("tcp://127.0.0.1:9"):
        pass


def test_jobs_must_be_some(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--jobs 0"), local_workers(0):
        pass


def test_counting_and_writing_tell_how_far_they_are(tmp_path: Path, spec_file: SpecFile) -> None:
    spec = read_spec(spec_file(MADE))
    counts: list[int] = []
    written: list[tuple[str, int]] = []
    with ResultStore(tmp_path / "out") as store, local_workers(1) as workers:
        rows = run_sweep(read_images(spec.images), spec.grids, store, workers, count=counts.append)
        files = store.write_tables(rows, lambda name, done: written.append((name, done)))
    assert counts == [0]
    assert written == [(file.name, 0) for file in files]

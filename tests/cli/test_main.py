"""The command line as a stranger would use it: a process, its output, its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tdvfsh.images.make import make_initrd, make_kernel


def run(*words: str, stdin: str = "", cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python -m tdvfsh`` with these words, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "tdvfsh", *words],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A made kernel and a 600 MiB initrd."""
    folder = tmp_path_factory.mktemp("pair")
    make_kernel(folder / "vmlinuz", 11_708_352, 0x37DD000, size_of_image=0xB90000, output_len=0x36E802C)
    make_initrd(folder / "600M.cpio", 600 << 20, None)
    return str(folder / "vmlinuz"), str(folder / "600M.cpio")


KEYS = {
    "": {"td", "images", "status", "stage", "placements", "accept", "modelled_seconds", "memory_map", "failure"},
    "td": {"memory", "vcpus", "gpaw", "accept", "on_demand", "profile", "loader"},
    "accept": {
        "added_bytes",
        "boot_bytes",
        "on_demand_bytes",
        "calls",
        "pages_4k",
        "pages_2m",
        "left_to_os_bytes",
    },
    "modelled_seconds": {"boot_accept", "on_demand_accept"},
}


def test_boot_json_has_the_contracts_keys_and_says_why_it_failed(pair: tuple[str, str]) -> None:
    kernel, initrd = pair
    done = run("boot", kernel, "--initrd", initrd, "--memory", "2G", "--accept", "512M", "--json")
    value = json.loads(done.stdout)
    assert done.returncode == 1
    for name, keys in KEYS.items():
        assert keys <= set(value[name] if name else value)
    assert set(value["failure"]) == {
        "service",
        "status",
        "asked_bytes",
        "largest_free_bytes",
        "unaccepted_bytes",
        "why",
    }
    assert value["status"] == "EFI_OUT_OF_RESOURCES"
    assert "600 MiB" in value["failure"]["why"]
    assert value["images"]["initrd"][0]["segments"] == [
        {"format": "cpio", "offset": 0, "size": value["images"]["initrd"][0]["segments"][0]["size"],
         "unpacked_size": value["images"]["initrd"][0]["segments"][0]["unpacked_size"]}
    ]  # fmt: skip


def test_boot_exits_with_0_where_the_os_was_reached(pair: tuple[str, str]) -> None:
    kernel, initrd = pair
    done = run("boot", kernel, "--initrd", initrd, "--memory", "2G", "--on-demand", "service", "--json")
    value = json.loads(done.stdout)
    assert done.returncode == 0
    assert value["failure"] is None
    assert value["stage"] == "exit_boot_services"
    accept = value["accept"]
    assert accept["boot_bytes"] + accept["on_demand_bytes"] + accept["left_to_os_bytes"] == 2 << 30
    assert accept["pages_4k"] * 4096 + accept["pages_2m"] * (2 << 20) + accept["added_bytes"] == (
        accept["boot_bytes"] + accept["on_demand_bytes"]
    )


def test_a_piped_memmap_prints_an_unaccepted_row() -> None:
    done = run(stdin="memmap\n")
    assert done.returncode == 0
    assert done.stdout.startswith("Type       Start            End              # Pages          Attributes\n")
    assert "\nUnaccepted 0000000020000000-" in done.stdout


def test_c_runs_commands_in_turn_and_exits_with_lasterror() -> None:
    done = run("-c", "echo one", "-c", "nosuchcommand")
    assert done.stdout.startswith("one\n")
    assert done.returncode == 14


def test_a_script_of_the_host_runs_with_its_arguments_and_gives_its_status(tmp_path: Path) -> None:
    script = tmp_path / "s.nsh"
    script.write_text("@echo -off\necho %1 and %2\nexit /b 7\n")
    done = run("run", str(script), "first", "second")
    assert done.stdout == "first and second\n"
    assert done.returncode == 7


BAD = [
    (["boot", "nosuchfile"], 2, "nosuchfile: no such file, and no image has that name"),
    (["boot", "."], 1, "is a folder"),
    (["boot", "{empty}"], 1, "empty"),
    (["boot", "{text}"], 1, "neither a Linux kernel nor an EFI image"),
    (["boot", "{kernel}", "--initrd", "{text}"], 1, "text"),
    (["boot", "{kernel}", "--accept", "sometimes"], 2, "--accept sometimes"),
    (["boot", "{kernel}", "--accept", "16M"], 2, "does not start"),
    (["boot", "{kernel}", "--memory", "1"], 2, "memory"),
    (["boot", "{kernel}", "--memory", "many"], 2, "--memory many: not a size"),
    (["boot", "{kernel}", "--loader", "lilo"], 2, "--loader lilo"),
    (["boot", "{kernel}", "--on-demand", "never"], 2, "--on-demand never"),
    (["boot", "{kernel}", "--vcpus", "x"], 2, "--vcpus x"),
    (["boot"], 2, "KERNEL"),
    (["boot", "{kernel}", "--cmdline", "x" * 5000], 2, "5000 characters"),
    (["nosuch"], 2, "nosuch"),
    (["--nosuch"], 2, "--nosuch"),
    (["run", "nosuch.nsh"], 2, "nosuch.nsh: no such file"),
    (["run", "{kernel}"], 1, "not a script"),
    (["inspect", "{text}"], 1, "neither"),
    (["inspect", "/dev/zero"], 1, "device"),
    (["images", "fetch", "nosuch"], 2, "nosuch"),
    (["images", "make", "initrd", "--size", "1", "-o", "{out}"], 2, ""),
    (["--fs0", "nosuchfolder", "-c", "ls"], 2, "not a folder"),
]


@pytest.mark.parametrize(("words", "status", "message"), BAD)
def test_bad_input_is_one_line_that_says_what_and_why(
    words: list[str], status: int, message: str, pair: tuple[str, str], tmp_path: Path
) -> None:
    empty, text, out = tmp_path / "empty", tmp_path / "text", tmp_path / "out"
    empty.touch()
    text.write_text("no kernel at all\n" * 40)
    names = {"kernel": pair[0], "empty": str(empty), "text": str(text), "out": str(out)}
    done = run(*(word.format(**names) if "{" in word else word for word in words), cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("tdvfsh: ")
    assert message in lines[0]
    assert not out.exists()


def test_control_characters_in_a_file_name_never_reach_the_terminal_raw() -> None:
    done = run("boot", "evil\x1b[31mname")
    assert "\x1b" not in done.stderr
    assert "\\x1b" in done.stderr


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m tdvfsh images list | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""


def test_every_subcommand_has_help_with_an_example() -> None:
    top = run("--help").stdout
    for name in ("run", "demo", "boot", "compare", "inspect", "lint", "images"):
        assert name in top
        assert run(name, "--help").returncode == 0
    assert "example" in run("boot", "--help").stdout


def test_the_readme_test_command_is_the_one_that_ci_runs() -> None:
    root = Path(__file__).parents[2]
    readme = (root / "README.md").read_text()
    assert sum(line.startswith("python3 -m venv ") and "pytest" in line for line in readme.splitlines()) == 1
    assert "README.md" in (root / ".ci" / "run").read_text()


def test_options_before_and_after_the_subcommand_mean_the_same(pair: tuple[str, str]) -> None:
    before = run("--memory", "2G", "--accept", "256M", "boot", pair[0], "--json")
    after = run("boot", pair[0], "--memory", "2G", "--accept", "256M", "--json")
    assert json.loads(before.stdout)["td"] == json.loads(after.stdout)["td"]
    assert json.loads(before.stdout)["td"]["memory"] == 2 << 30

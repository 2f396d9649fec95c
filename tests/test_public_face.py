"""What tdvfsh is for users and for those who add to it: two lists of names, fully typed; what results look like."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tdvfsh
import tdvfsh.extend
from tdvfsh import Machine, Shell, boot, compare, difference, open_boot_files, td_options
from tdvfsh.extend import Placement, ShellStatus, boot_on, command
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.uefi.guids import EFI_LOADED_IMAGE_PROTOCOL_GUID
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import MIB

MODULES = (tdvfsh, tdvfsh.extend)
OWN_EXCEPTIONS = frozenset({"__version__"})
NO_DOCSTRINGS = frozenset({"__version__", "Address", "Count", "FilePath", "Flag", "Hex", "Rest", "Size", "Text"})


def test_the_lists_hold_what_they_name() -> None:
    for module in MODULES:
        names = [name for names in module._HOMES.values() for name in names]
        assert sorted([*names, *(OWN_EXCEPTIONS & set(module.__all__))]) == sorted(module.__all__)
        assert module.__all__ == sorted(module.__all__)
        assert dir(module) == module.__all__
        for name in module.__all__:
            assert name in NO_DOCSTRINGS or inspect.getdoc(getattr(module, name)), name
        for home, found in module._HOMES.items():
            assert importlib.import_module(f"tdvfsh.{home}").__name__ == f"tdvfsh.{home}"
            assert found
    with pytest.raises(AttributeError, match=r"module 'tdvfsh\.extend' has no attribute 'nonsense'"):
        _ = tdvfsh.extend.nonsense


def test_every_public_signature_is_annotated_in_full_and_without_any() -> None:
    problems = [
        f"{module.__name__}.{name}: {problem}"
        for module in MODULES
        for name in module.__all__
        for problem in _untyped(getattr(module, name))
    ]
    assert problems == []


def _untyped(value: object) -> Iterator[str]:
    if inspect.isclass(value):
        scope = vars(sys.modules[value.__module__])
        for name, text in inspect.get_annotations(value).items():
            if not name.startswith("_") and _is_any(str(text), scope):
                yield f"{name}: {text}"
        for name, member in inspect.getmembers_static(value):
            function = _function_of(member)
            if function is None or not str(function.__module__).startswith("tdvfsh"):
                continue
            if not name.startswith("_") or (name == "__init__" and "__init__" in vars(value)):
                yield from (f"{name}: {problem}" for problem in _untyped_function(function))
    elif inspect.isfunction(value):
        yield from _untyped_function(value)


def _function_of(member: object) -> object:
    if isinstance(member, property):
        return member.fget
    function = getattr(member, "__func__", member)
    return function if inspect.isfunction(function) else None


def _untyped_function(function: object) -> Iterator[str]:
    assert inspect.isfunction(function)
    if "<string>" in function.__code__.co_filename:
        return  # made by dataclass or NamedTuple from the annotations of the class
    scope = function.__globals__
    signature = inspect.signature(function)
    for name, parameter in signature.parameters.items():
        if name in ("self", "cls"):
            continue
        if parameter.annotation is inspect.Parameter.empty or _is_any(str(parameter.annotation), scope):
            yield f"parameter {name}: {parameter.annotation}"
    returned = signature.return_annotation
    if function.__name__ != "__init__" and (returned is inspect.Signature.empty or _is_any(str(returned), scope)):
        yield f"returns {returned}"


def _is_any(annotation: str, scope: dict[str, object]) -> bool:
    """Whether an annotation says Any, itself or by an alias."""
    words = re.findall(r"[A-Za-z_]\w*", annotation)
    aliases = (scope.get(word) for word in words)
    return "Any" in words or any("typing.Any" in repr(one) for one in aliases if not inspect.isclass(one))


def test_the_check_of_signatures_finds_what_is_missing() -> None:
    def untyped(one, two: dict[str, Any]):  # type: ignore  # noqa
        return one, two

    assert [problem.split(":")[0] for problem in _untyped(untyped)] == [
        "parameter one", "parameter two", "returns <class 'inspect._empty'>",
    ]  # fmt: skip


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    make_kernel(tmp_path / "linux", 12 * MIB, 60 * MIB)
    make_initrd(tmp_path / "initrd", 200 * MIB, None)
    return tmp_path / "linux", tmp_path / "initrd"


def test_a_result_is_one_line_with_its_outcome_and_why_it_failed(pair: tuple[Path, Path]) -> None:
    kernel, initrd = pair
    with open_boot_files(kernel, [initrd]) as opened:
        good = boot(td_options("2G", "224M", "service"), opened.boot)
        bad = boot(td_options("2G", "224M", "none"), opened.boot)
        rows = compare(td_options("2G"), opened.boot, ["224M"], ["none", "service"], ["direct"])
        before = good.machine.snapshot()
        shown = [good, bad, opened, opened.boot, rows, rows[0], good.machine, good.memory_map, good.machine.trace,
                 before, difference(before, before)]  # fmt: skip
    assert all("\n" not in repr(one) and len(repr(one)) < 400 for one in shown)
    assert repr(good).startswith("<BootResult: direct: booted, 224 MiB accepted at boot in ")
    assert bad.failure is not None
    assert repr(bad) == f"<BootResult: direct: {bad.status.name} at {bad.stage}: {bad.failure.why}>"
    assert repr(rows) == "<Comparison of 2 boots: 1 booted, 1 did not>"
    assert repr(rows[1]) == "<ComparedBoot 224M, direct, service: booted>"
    assert repr(opened) == "<OpenedFiles: linux 12 MiB, initrd 200 MiB>"
    assert repr(Machine()).startswith("<Machine: 4 GiB TD, firmware ")


def test_a_comparison_is_a_sequence(pair: tuple[Path, Path]) -> None:
    with open_boot_files(pair[0]) as opened:
        rows = compare(td_options("2G"), opened.boot, ["512M", "eager"], ["none"], ["direct", "grub2.12"])
    assert len(rows) == 4
    assert [row.accept for row in rows] == ["512M", "512M", "eager", "eager"]
    assert rows[-1] is list(rows)[3]
    assert [row.loader for row in rows[1:3]] == ["grub2.12", "direct"]


def test_services_have_defaults_where_the_prompt_has() -> None:
    machine = Machine(td_options("1G", "512M"))
    services = machine.services
    assert services.allocate_pages(0, 2, 1).status is SUCCESS
    found = services.get_memory_map()
    assert found.status is SUCCESS
    assert found.descriptors == machine.memory_map
    handle = services.install_protocol_interface(None, EFI_LOADED_IMAGE_PROTOCOL_GUID).handle
    assert handle is not None
    assert services.exit_boot_services() is SUCCESS
    assert services.allocate_pages(0, 2, 1).status is EfiStatus.EFI_UNSUPPORTED


def test_a_command_of_ones_own_runs_completes_and_has_help() -> None:
    @command("greet", profile="td")
    def greet(shell: Shell) -> ShellStatus:
        """Greet whoever is there.

        SYNOPSIS:
            greet
        """
        shell.print("hello\n")
        return ShellStatus.SUCCESS

    from tdvfsh.shell.command import registry

    try:
        shell = Shell()
        assert shell.run_line("greet") == 0
        assert shell.run_line("help greet") == 0
        assert isinstance(shell.stdout, tdvfsh.MemorySink)
        assert shell.stdout.text.startswith("hello\n")
        assert "Greet whoever is there." in shell.stdout.text
        assert registry.is_command("GREET")
        assert "greet" in registry.names()
    finally:
        del registry._LOADED["greet"]


def test_a_loader_of_ones_own_boots_with_the_accept_option_in_force(pair: tuple[Path, Path]) -> None:
    from tdvfsh.extend import BootFlow, Need
    from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType

    def loader(flow: BootFlow) -> EfiStatus:
        size, kind = 1024 * MIB, EfiMemoryType.EfiLoaderData

        def load() -> EfiStatus:
            return flow.allocate("kernel", EfiAllocateType.AllocateAnyPages, kind, size)[0]

        status = flow.run_step("load_kernel", [Need("kernel", size, kind)], load)
        return flow.services.exit_boot_services() if status is SUCCESS else status

    with open_boot_files(pair[0]) as opened:
        outcomes = {
            option: boot_on(Machine(td_options("4G", "512M", option)), opened.boot, loader)
            for option in ("none", "service")
        }
    assert not outcomes["none"].booted
    assert outcomes["service"].booted
    assert [type(entry) for entry in outcomes["service"].placements] == [Placement]
    assert outcomes["service"].placements[0].size == 1024 * MIB

"""Each state of the firmware has one owner: the prompt and programs on the processor see and change the same one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tdvfsh.dxe.events import EVT_NOTIFY_SIGNAL, EVT_TIMER, TIMER_PERIODIC, TPL_CALLBACK
from tdvfsh.dxe.open_protocols import EFI_OPEN_PROTOCOL_BY_DRIVER
from tdvfsh.script.streams import MemorySink
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.processor import choose_engine
from tdvfsh.shell.shell import Shell
from tdvfsh.uefi.guids import (
    EFI_DRIVER_BINDING_PROTOCOL_GUID,
    EFI_GLOBAL_VARIABLE_GUID,
    EFI_PCI_IO_PROTOCOL_GUID,
)
from tests.engine.assembler import SCRATCH, Program, pe_image
from tests.engine.runs.test_real_programs import image

RUNTIME_SERVICES = 88  # in the system table
SET_VARIABLE = 24 + 8 * 8
NV_BS_RT = 7
REAL = "shellx64.efi -nostartup -nomap -noversion -exit "
"""The real Shell, for one command."""


class Prompt:
    """A shell with a processor; FS0: is a folder of the host."""

    def __init__(self, folder: Path, engine: str = "cpu") -> None:
        self.shell = Shell()
        self.shell.mount(HostFolder(str(folder), writable=True))
        self.shell.interpreter.echo = False
        choose_engine(self.shell, engine)

    def run(self, *lines: str) -> str:
        """What the lines print."""
        self.shell.stdout = sink = MemorySink()
        for line in lines:
            self.shell.run_line(line)
        return sink.text

    def real(self, command: str) -> str:
        """What a command of the real Shell prints."""
        return self.run(REAL + command)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a program that sets the variable P to 99."""
    program = Program().lea("rcx", "name").lea("rdx", "vendor").mov("r8", NV_BS_RT).mov("r9", 1)
    program.lea("rax", "value").stack_argument(4, "rax").load("r10", "rbx", RUNTIME_SERVICES)
    program.load("rax", "r10", SET_VARIABLE).raw("FFD0").ret()
    program.text("name", "P").data("vendor", EFI_GLOBAL_VARIABLE_GUID.bytes_le).data("value", b"\x99")
    (tmp_path / "set.efi").write_bytes(program.image())
    return tmp_path


@pytest.fixture
def with_shell(folder: Path) -> Path:
    """With the real Shell, too."""
    shutil.copyfile(image("shell", "efi"), folder / "shellx64.efi")
    return folder


def test_undoing_a_line_keeps_a_variable_that_a_program_set_before(folder: Path) -> None:
    prompt = Prompt(folder)
    prompt.run("set.efi", "set x 1", "undo", "bs AllocatePages AnyPages LoaderData 1", "undo")
    assert "99" in prompt.run("setvar P")
    assert "Unable to get" in prompt.run("undo", "setvar P")
    assert "99" in prompt.run("redo", "setvar P")


def test_a_variable_of_a_program_goes_through_snapshots_files_and_td_new(folder: Path) -> None:
    prompt = Prompt(folder)
    prompt.run("set.efi", "snap save a -file a.json", "setvar P =", "snap save b", "snap restore a")
    assert "99" in prompt.run("setvar P")
    assert "Unable to get" in prompt.run("snap restore b", "setvar P")
    for engine in ("cpu", "model"):
        other = Prompt(folder, engine)
        assert "99" in other.run("snap load a -file a.json", "snap restore a", "setvar P")
        assert "99" in other.run("setvar Q -bs =11", "td new", "setvar P")
        assert "Unable to get" in other.run("setvar Q")


def test_handles_keep_their_numbers_when_the_machine_goes_back_or_comes_from_a_file(folder: Path) -> None:
    prompt = Prompt(folder)
    before = prompt.run("dh")
    assert before.count("\n") > 10
    assert prompt.run("set.efi", "undo", "set.efi", "dh") == "Undone: set.efi\n" + before
    prompt.run("snap save a -file a.json")
    other = Prompt(folder)
    assert other.run("snap load a -file a.json", "snap restore a", "set.efi", "dh") == before
    model = Prompt(folder, "model").run("snap load a -file a.json", "snap restore a", "dh")
    assert set(model.splitlines()) < set(before.splitlines())


def ticking_driver() -> bytes:
    """A driver that stays and prints ``tick`` every second."""
    program = Program().mov("rcx", EVT_TIMER | EVT_NOTIFY_SIGNAL).mov("rdx", TPL_CALLBACK).lea("r8", "tick")
    program.copy("r9", "rbx").address("rax", "rsp", SCRATCH).stack_argument(4, "rax").boot("CreateEvent")
    program.jump_if_error("end").load("rcx", "rsp", SCRATCH).mov("rdx", TIMER_PERIODIC).mov("r8", 10_000_000)
    program.boot("SetTimer").label("end").ret()
    program.label("tick").raw("4883EC28").load("rcx", "rdx", 64).lea("rdx", "text").call_at("rcx", 8).raw("4883C428C3")
    return pe_image(program.text("text", "tick ").code(), subsystem=11)


def test_timers_of_a_driver_go_on_after_going_back_and_from_a_file(folder: Path) -> None:
    (folder / "tick.efi").write_bytes(ticking_driver())
    (folder / "wait.efi").write_bytes(Program().mov("rcx", 2_100_000).boot("Stall").ret(0).image())
    prompt = Prompt(folder)
    prompt.run("load tick.efi")
    assert prompt.run("wait.efi") == "tick tick "
    prompt.run("snap save a -file a.json")
    assert prompt.run("wait.efi") == "tick tick "
    assert prompt.run("undo 2", "wait.efi").startswith("Undone: wait.efi\nUndone: snap")
    assert prompt.run("wait.efi") == "tick tick "
    other = Prompt(folder)
    assert other.run("snap load a -file a.json", "snap restore a", "wait.efi") == "tick tick "
    model = Prompt(folder, "model")
    assert model.run("snap load a -file a.json", "snap restore a", "stall 5000000") == ""
    assert model.run("td -engine cpu", "wait.efi").endswith("tick tick tick tick tick tick tick ")
    assert prompt.run("undo 9", "wait.efi").endswith("\n")


def pci_driver() -> bytes:
    """A driver that stays and manages every PCI function: Start opens EFI_PCI_IO_PROTOCOL, Stop closes it."""
    program = Program().lea("r10", "binding")
    for at, function in enumerate(("supported", "start", "stop")):
        program.lea("rax", function).store("r10", 8 * at, "rax")
    program.mov("rax", 16).store("r10", 24, "rax").store("r10", 32, "rdi").store("r10", 40, "rdi")
    program.store("rsp", SCRATCH, "rdi").lea("rax", "services").store("rax", 0, "rsi")
    program.address("rcx", "rsp", SCRATCH).lea("rdx", "guid").mov("r8", 0).lea("r9", "binding")
    program.boot("InstallProtocolInterface").ret()
    for function in ("supported", "start", "stop"):
        program.label(function).raw("56 57 4883EC48").copy("rdi", "rdx").lea("rax", "services").load("rsi", "rax")
        if function != "stop":
            program.copy("rcx", "rdi").lea("rdx", "pci").lea("r8", "room").lea("rax", "binding").load("r9", "rax", 40)
            program.stack_argument(4, "rdi").stack_argument(5, EFI_OPEN_PROTOCOL_BY_DRIVER).boot("OpenProtocol")
            program.jump_if_error(f"end of {function}")
        if function != "start":
            program.copy("rcx", "rdi").lea("rdx", "pci").lea("rax", "binding").load("r8", "rax", 40).copy("r9", "rdi")
            program.boot("CloseProtocol")
        program.label(f"end of {function}").raw("4883C448 5F 5E C3")
    program.data("guid", EFI_DRIVER_BINDING_PROTOCOL_GUID.bytes_le).data("pci", EFI_PCI_IO_PROTOCOL_GUID.bytes_le)
    program.data("binding", bytes(48)).data("services", bytes(8)).data("room", bytes(8))
    return pe_image(program.code(), subsystem=11)


def driver_lines(prompt: Prompt) -> tuple[str, ...]:
    """Commands that connect and disconnect, with the numbers of a PCI function and of the driver."""
    dump = prompt.run("dh").splitlines()
    pci = next(line[:2] for line in dump if "PciIO" in line)
    driver = [line[:2] for line in dump if "DriverBinding" in line][-1]  # after the firmware's own
    words = (
        "connect 3", "connect PCI", "connect PCI", "disconnect PCI 3", "disconnect PCI DRV 3", "disconnect PCI DRV",
        "reconnect PCI", "disconnect PCI", "connect DRV", "disconnect -r",
    )  # fmt: skip
    return tuple(word.replace("PCI", pci).replace("DRV", driver) for word in words)


def test_a_loaded_driver_is_connected_at_the_prompt_and_undo_lets_go_of_the_device(folder: Path) -> None:
    (folder / "pci.efi").write_bytes(pci_driver())
    prompt = Prompt(folder)
    assert prompt.run("connect") == "Connect No drivers could be connected.\n"
    assert "'dh -p DriverBinding' lists" in prompt.run("drivers")
    assert prompt.run("pci") == "pci: Not modelled; 'dh -p PciIO' lists this machine's PCI devices.\n"
    prompt.run("load pci.efi")
    assert "LoadedImage(\\pci.efi)" in prompt.run("dh -p DriverBinding")
    (_, connect, *_) = driver_lines(prompt)
    pci = connect.split()[1]
    assert prompt.run(connect) == f"Connect - Handle [{pci}] Result Success.\n"
    assert " Driver " in prompt.run(f"openinfo {pci}")
    prompt.run("snap save a -file a.json", "undo 2")
    assert " Driver " not in prompt.run(f"openinfo {pci}")
    assert prompt.run(connect) == f"Connect - Handle [{pci}] Result Success.\n"
    other = Prompt(folder)
    other.run("snap load a -file a.json", "snap restore a")
    assert " Driver " in other.run(f"openinfo {pci}")
    assert other.run(f"disconnect {pci}") == f"Disconnect - ({pci},00,00) Result Success.\n"
    assert other.run("td -engine model", "connect").endswith("Connect No drivers could be connected.\n")
    assert Prompt(folder, "model").run("connect") == "connect: Not modelled: this machine has no driver bindings.\n"


@pytest.mark.images
def test_the_prompt_connects_drivers_as_the_real_shell_does(with_shell: Path) -> None:
    (with_shell / "pci.efi").write_bytes(pci_driver())
    prompts = [Prompt(with_shell), Prompt(with_shell)]
    for prompt in prompts:
        prompt.run("load pci.efi")
    for line in driver_lines(prompts[0]):
        ours = prompts[0].run(line, "set lasterror").replace(" ", "")
        real = prompts[1].run(REAL + line, "set lasterror").replace(" ", "")
        assert ours == real, line


def test_a_program_is_asked_for_its_start_date_and_the_prompt_says_the_same(folder: Path) -> None:
    assert Prompt(folder).run("date") == Prompt(folder, "model").run("date") == "01/02/2024\n"


@pytest.mark.images
def test_the_real_shell_finds_what_setvar_has_set_and_the_prompt_what_it_has_set(with_shell: Path) -> None:
    prompt = Prompt(with_shell)
    prompt.run("setvar V -bs -nv =55")
    shown = "Variable NV+BS 'EFIGlobalVariable:V' DataSize = 0x01\n  00000000: 55 "
    assert shown in prompt.real("dmpstore V")
    prompt.run("snap save a -file a.json", "undo 3")
    assert "No matching variables found" in prompt.real("dmpstore V")
    prompt.run("snap load b -file a.json", "snap restore b")
    assert shown in prompt.real("dmpstore V")
    prompt.real("setvar W -bs =66")
    prompt.run("set x 1", "undo", "alias y ls", "undo")
    assert "66" in prompt.run("setvar W")
    prompt.run("undo")
    assert "Unable to get" in prompt.run("setvar W")
    assert "No matching variables found" in prompt.real("dmpstore W")


@pytest.mark.images
def test_the_real_shell_s_date_is_the_prompt_s(with_shell: Path) -> None:
    prompt = Prompt(with_shell)
    assert prompt.real("date") == prompt.run("date") == "01/02/2024\n"
    prompt.run("date 05/06/2030", "timezone -s 01:00", "snap save a -file a.json")
    assert prompt.real("date") == "05/06/2030\n"
    assert prompt.real("timezone") == prompt.run("timezone") == "UTC+01:00\n"
    prompt.run("undo 5")
    prompt.real("date 07/08/2031")
    assert prompt.run("date") == "07/08/2031\n"
    prompt.run("undo")
    assert prompt.real("date") == prompt.run("date") == "01/02/2024\n"
    prompt.run("snap load b -file a.json", "snap restore b")
    assert prompt.real("date") == prompt.run("date") == "05/06/2030\n"


@pytest.mark.images
def test_counts_rise_from_the_prompt_into_the_real_shell_and_back(with_shell: Path) -> None:
    prompt = Prompt(with_shell)
    assert prompt.run("getmtc") == "0000000100000000\n"
    assert prompt.real("getmtc") == "0000000100000001\n"
    assert prompt.run("getmtc", "undo", "getmtc").split("\n") == [
        "0000000100000002", "Undone: getmtc", "0000000100000002", "",
    ]  # fmt: skip
    assert prompt.run("td new", "getmtc").endswith("\n0000000200000000\n")


def test_the_prompt_has_the_tables_that_programs_find_through_snapshots_and_files(folder: Path) -> None:
    prompt = Prompt(folder)
    listed, table = prompt.run("smbiosview -s"), prompt.run("dmem")
    assert listed.count("Index=") == 10
    assert "ACPI 2.0 Table                0000000000000000" not in table
    assert prompt.run("smbiosview -t 4").count("Type=4, Handle=0x400\n") == 1
    assert prompt.run("smbiosview -h 0x1301").count("Type=19, Handle=0x1301\n") == 1
    prompt.run("set.efi", "snap save a -file a.json", "ver", "undo")
    assert prompt.run("smbiosview -s") == listed
    for engine in ("cpu", "model"):
        assert Prompt(folder, engine).run("snap load a -file a.json", "snap restore a", "smbiosview -s") == listed
    lacking = Prompt(folder, "model")
    assert lacking.run("smbiosview") == "smbiosview: Not modelled: this machine has no SMBIOS tables.\n"
    assert "no system table in memory" in lacking.run("dmem")
    assert lacking.run("smbiosview -s -a") == "smbiosview: Too many arguments.\n"


@pytest.mark.images
def test_the_real_shell_lists_the_tables_that_the_prompt_lists(with_shell: Path) -> None:
    prompt = Prompt(with_shell)
    assert prompt.real("smbiosview -s") == prompt.run("smbiosview -s")
    real, ours = prompt.real("dmem"), prompt.run("dmem")
    assert real[real.index("Runtime Services") :] == ours[ours.index("Runtime Services") :]
    assert prompt.run("snap save a -file a.json", "td new -memory 1G", "smbiosview -s", "undo 2").count("Index=") == 9
    for option in ("-t 19", "-h 256", "-t 300", "-t x"):
        ours, real = prompt.run(f"smbiosview {option}"), prompt.real(f"smbiosview {option}")
        assert set(ours.replace("SHOW_OUTLINE", "SHOW_DETAIL").splitlines()) <= set(real.splitlines())
    other = Prompt(with_shell)
    other.run("snap load a -file a.json", "snap restore a")
    assert other.real("smbiosview -s") == other.run("smbiosview -s") == prompt.run("smbiosview -s")


@pytest.mark.images
def test_the_prompt_shows_what_the_real_shell_has_opened(with_shell: Path) -> None:
    prompt = Prompt(with_shell)
    assert prompt.run("openinfo 3").count("\n") == 3
    prompt.real("ver")
    after = prompt.run("openinfo 3")
    assert "DevicePath\n  Drv[01] Ctrl[  ] Cnt(" in after
    prompt.run("snap save a -file a.json", "undo 3")
    assert "Drv" not in prompt.run("openinfo 3")
    assert prompt.run("snap load b -file a.json", "snap restore b", "openinfo 3") == after
    assert prompt.run("openinfo 99", "openinfo").splitlines() == [
        "openinfo: Handle - '99' not found", "openinfo: Handle - '<null string>' not found",
    ]  # fmt: skip

"""The shell as a user meets it: scripts, interrupts, bad input, completion."""

from __future__ import annotations

import pytest

from tdvfsh.script.streams import MemorySink
from tdvfsh.shell.shell import Shell
from tdvfsh.uefi.status import EfiStatus
from tests.shell.under_test import ShellUnderTest


def test_a_script_goes_on_after_a_failing_command_and_stops_at_a_failing_word(under_test: ShellUnderTest) -> None:
    text = under_test.script("@echo -off\nnosuch\necho %lasterror%\ngoto nowhere\necho never\n")
    assert text.splitlines()[1:] == [
        "0xE",
        "No matching ':nowhere' for 'Goto' statement found. Line: 4",
        "Script Error Status: Aborted (line number 4)",
    ]
    assert under_test.shell.last_error_code == 0xE


def test_exit_b_sets_lasterror_and_leaves_only_its_own_script(under_test: ShellUnderTest) -> None:
    under_test.put("inner.nsh", "@echo -off\nexit /b 7\necho never\n")
    assert under_test.script("@echo -off\ninner.nsh\necho back %lasterror%\n") == "back 0x7\n"
    assert not under_test.shell.exiting


def test_exit_leaves_all_scripts_and_the_shell(under_test: ShellUnderTest) -> None:
    under_test.put("inner.nsh", "exit 3\n")
    assert under_test.script("@echo -off\ninner.nsh\necho never\n") == ""
    assert under_test.shell.exiting
    assert under_test.shell.interpreter.exit_code == 3


def test_arguments_with_blanks_reach_a_script_whole(under_test: ShellUnderTest) -> None:
    assert under_test.script("@echo [%1] [%2] [%3]\n", "a b", "", "c") == "[a b] [] [c]\n"


def test_echo_shows_lines_with_the_prompt_and_is_restored(under_test: ShellUnderTest) -> None:
    under_test.shell.interpreter.echo = True
    assert under_test.script("echo a\n@echo -off\necho b\n") == "FS0:\\> echo a\na\nb\n"
    assert under_test.shell.interpreter.echo


def test_a_script_without_end_stops_at_an_interrupt_and_the_shell_goes_on(under_test: ShellUnderTest) -> None:
    count = 0

    def interrupted() -> bool:
        nonlocal count
        count += 1
        return count > 1000

    under_test.shell.interrupted = interrupted
    text = under_test.script("@echo -off\n:again\ngoto again\n")
    assert text == "Command Error Status: Aborted\n"
    assert under_test.shell.last_error_code == 0x15
    under_test.shell.interrupted = None
    assert under_test.run("echo on") == "on\n"


def test_an_interrupt_in_a_redirected_script_gives_the_streams_back(under_test: ShellUnderTest) -> None:
    under_test.put("loop.nsh", "@echo -off\n:again\ngoto again\n")
    count = 0

    def interrupted() -> bool:
        nonlocal count
        count += 1
        return count > 10

    under_test.shell.interrupted = interrupted
    assert under_test.run("loop.nsh >a out.txt") == "Command Error Status: Aborted\n"


def test_scripts_that_call_themselves_end_with_a_message(under_test: ShellUnderTest) -> None:
    text = under_test.script("@echo -off\ntest.nsh\necho back\n")
    assert text.count("scripts call each other more than 64 deep") == 1
    assert "Script Error Status: Out of Resources (line number 2)" in text
    assert text.count("back\n") == 63


def test_a_binary_given_as_a_script_is_refused(under_test: ShellUnderTest) -> None:
    under_test.files.write_file("bin.nsh", bytes(range(256)) * 8)
    assert "not a script: looks like a binary file" in under_test.run("bin.nsh")
    assert under_test.run("echo on") == "on\n"


def test_a_line_of_ten_megabytes_is_refused_at_once(under_test: ShellUnderTest) -> None:
    assert under_test.run("echo " + "x" * 10_000_000).startswith("The line is too long: 10,000,005 characters")
    assert under_test.run("echo on") == "on\n"


def test_a_variable_that_doubles_itself_ends_with_a_message(under_test: ShellUnderTest) -> None:
    text = under_test.script("@echo -off\nset -v a xxxxxxxx\nfor %i run (1 40)\n set -v a %a%%a%\nendfor\necho end\n")
    assert "The line is too long: " in text
    assert text.endswith("end\n")
    assert len(under_test.shell.get_variable("a") or "") < 1 << 16


def test_an_argument_repeated_too_often_ends_with_a_message(under_test: ShellUnderTest) -> None:
    text = under_test.script("@echo -off\necho " + "%1" * 20000 + "\necho end\n", "x" * 30000)
    assert text == "The line is too long: 600,000,005 characters, at most 65,536.\nend\n"


@pytest.mark.parametrize(
    "line",
    [
        *('"', "^", "%", "|", "||", "a|", "|a", ">", "> x", "echo x > \\", "fs0", ":", "::", "fs0::", "%%%", "echo ^"),
        *("ls -?", "ls | | ls", 'type "', "cd fs9:\\", "for %a in", "echo x <", "parse < no", "type >v", "\t", "@"),
    ],
)
def test_strange_lines_give_a_message_at_most(under_test: ShellUnderTest, line: str) -> None:
    under_test.run(line)
    assert under_test.run("echo on") == "on\n"
    assert under_test.shell.last_error_code >= 0


def test_a_pipe_hands_on_what_a_command_prints(under_test: ShellUnderTest) -> None:
    under_test.put("a.txt", "x")
    assert under_test.run("ls -sfo | parse FileInfo 2") == "FS0:\\a.txt\n"
    assert under_test.run("nosuch | parse T 1").startswith("'nosuch' is not recognized")


def test_output_goes_into_a_variable_without_its_last_newline(under_test: ShellUnderTest) -> None:
    assert under_test.run("ver -s >v v", "echo [%v%]") == "[2.2]\n"
    assert under_test.run("echo more >>v v", "echo [%v%]") == "[2.2more]\n"
    assert "Unable to redirect" in under_test.run("set keep 1", "ver >v keep")


def test_a_variable_of_several_lines_prints_as_lines_in_a_file_too(under_test: ShellUnderTest) -> None:
    under_test.put("a.txt", "one\ntwo")
    under_test.run("type a.txt >v v", 'echo "%v%" >a b.txt')
    assert under_test.files.read(["b.txt"]) == b"one\r\ntwo\r\n"


def test_parse_finds_input_from_a_file_and_a_pipe_but_not_from_ascii_files_and_variables(
    under_test: ShellUnderTest,
) -> None:
    under_test.put("t.sfo", 'ShellCommand,"x"\nT,"1"\n')
    assert under_test.run("parse T 2 < t.sfo") == "1\n"
    assert under_test.run("type t.sfo | parse T 2") == "1\n"
    assert under_test.run("type t.sfo |a parse T 2") == "1\n"
    assert under_test.run("parse T 2 <a t.sfo", "echo %lasterror%") == "parse: Too few arguments.\n0x2\n"
    assert under_test.run("type t.sfo >v v", "parse T 2 <v v") == "parse: Too few arguments.\n"


def test_an_ascii_pipe_carries_the_low_byte_of_each_character(under_test: ShellUnderTest) -> None:
    under_test.put("h.sfo", 'ShellCommand,"x"\n')
    under_test.files.write_file("t.sfo", b"\xff\xfe" + 'ShellCommand,"x"\r\nT,"\u0141"\r\n'.encode("utf-16-le"))
    assert under_test.run("type t.sfo | parse T 2") == "\u0141\n"
    assert under_test.run("type t.sfo |a parse T 2") == "A\n"


def test_programs_are_not_run_without_a_starter(under_test: ShellUnderTest) -> None:
    under_test.put("x.efi", "MZ")
    assert under_test.run("x.efi") == "Command Error Status: Unsupported\n"
    under_test.shell.image_starter = lambda path, line: (EfiStatus.EFI_SUCCESS, 9)
    assert under_test.run("x a b", "echo %lasterror%") == "0x9\n"


def test_reset_restarts_the_machine_there_is(under_test: ShellUnderTest) -> None:
    class Machine:
        restarts = 0

        def reset(self) -> None:
            self.restarts += 1

    assert "no machine" in under_test.run("reset")
    machine = Machine()
    under_test.shell.machine = machine
    assert under_test.run("reset -w gone") == "Reset with gone (10 bytes)\n"
    assert machine.restarts == 1


def test_page_break_asks_after_each_screenful_and_stops_at_q(under_test: ShellUnderTest) -> None:
    under_test.put("long.txt", "".join(f"line {number}\n" for number in range(30)))
    shell = under_test.shell
    asked: list[str] = []
    sink = MemorySink()
    shell.stdout = shell.screen = sink
    shell.screen_rows = lambda: 11

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return "q" if len(asked) == 2 else ""

    shell.ask = ask
    shell.run_line("type -b long.txt")
    assert sink.text.splitlines() == [f"line {number}" for number in range(20)]
    assert asked == ["Press ENTER to continue or 'Q' break:"] * 2
    assert shell.last_error_code == 0x15
    assert shell.stdout is sink
    asked.clear()
    shell.run_line("type -b long.txt >a out.txt")
    assert asked == []


def completions(shell: Shell, text: str) -> list[str]:
    return [found.text for found in shell.complete(text, len(text))]


def test_completion_knows_commands_options_files_and_variables(under_test: ShellUnderTest) -> None:
    shell = under_test.shell
    under_test.put("docs\\long name.txt", "x")
    under_test.put("docs\\a.txt", "x")
    under_test.run("set -v mine 1")
    assert "mkdir" in completions(shell, "mk")
    assert completions(shell, "ls -s") == ["-sfo"]
    assert completions(shell, "type do") == ["docs\\"]
    assert completions(shell, "type docs\\") == ["docs\\a.txt", '"docs\\long name.txt"']
    assert completions(shell, "type fs0:\\docs\\a") == ["fs0:\\docs\\a.txt"]
    assert completions(shell, 'type "docs\\lo') == ['"docs\\long name.txt"']
    assert completions(shell, "echo x%mi") == ["%mine%"]
    assert completions(shell, "set mi") == ["mine"]
    assert completions(shell, "cd docs\\") == []
    assert completions(shell, "help mkd") == ["mkdir"]
    assert completions(shell, "dir do") == ["docs\\"]
    assert completions(shell, "echo a > do") == ["docs\\"]
    assert "FS0:" in completions(shell, "fs")


def test_completion_says_where_its_word_begins(under_test: ShellUnderTest) -> None:
    shell = under_test.shell
    assert {found.start for found in shell.complete("ls | pars", 9)} == {5}
    assert shell.complete("", 0)
    assert shell.complete("ls -sfo", 4)[0].start == 3


def test_a_shell_without_drives_has_its_own_prompt() -> None:
    shell = Shell(MemorySink())
    assert shell.prompt() == "Shell> "
    shell.run_line("ls")
    assert shell.last_error_code == 0xE


def test_an_ascii_pipe_hands_on_the_low_byte_of_each_character(under_test: ShellUnderTest) -> None:
    under_test.files.write_file("u.txt", '\ufeffShellCommand,"x"\r\nRow,"A\u0141"\r\n'.encode("utf-16-le"))
    under_test.run("fs0:")
    assert under_test.run("type u.txt | parse Row 2") == "A\u0141\n"
    assert under_test.run("type u.txt |a parse Row 2") == "AA\n"

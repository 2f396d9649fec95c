"""Runs lines and scripts.

Statuses here are EFI statuses, as in firmware: a failing command leaves its number in ``lasterror`` and the script goes
on; a failing word of the language, an ABORTED command, a program that cannot be started and a redirection that cannot
be end it with "Script Error Status".

Source: edk2 ShellPkg/Application/Shell/Shell.c (RunShellCommand to RunScriptFile).
"""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.expansion import (
    LONGEST_LINE,
    LineTooLong,
    asks_for_help,
    substitute_alias,
    substitute_arguments,
    substitute_variables,
)
from tdvfsh.script.lexer import find_pipe, lex, split_words
from tdvfsh.script.program import Program, clean_line, decode_text
from tdvfsh.script.redirection import Redirection, RedirectionError, split_redirection
from tdvfsh.script.status import ShellStatus, hex_status, to_efi
from tdvfsh.script.streams import CapturedSink, MemorySink, StreamError, TextSource, low_bytes
from tdvfsh.script.text import cut_comment, trim
from tdvfsh.script.words import ABORTING, WORDS
from tdvfsh.uefi.status import EfiStatus

if TYPE_CHECKING:
    from tdvfsh.script.host import ScriptHost
    from tdvfsh.script.program import ScriptLine

_SUCCESS = EfiStatus.EFI_SUCCESS
_DEEPEST_SCRIPT = 64  # scripts in scripts; firmware's stack ends near there too


class Interpreter:
    """The state of the language: echo, running scripts, a pending exit.

    Args:
        host: The shell that has commands, files and variables.
    """

    def __init__(self, host: ScriptHost) -> None:
        self.host = host
        self.echo = True
        self.programs: list[Program] = []
        self.exit_requested = False
        self.exit_code = 0
        self._leave_script = False
        self._pipes: list[MemorySink | None] = []

    @property
    def program(self) -> Program | None:
        """The innermost running script."""
        return self.programs[-1] if self.programs else None

    @property
    def last_error(self) -> int:
        """``%lasterror%`` as a number."""
        return int(self.host.get_variable("lasterror") or "0x0", 16)

    def set_last_error(self, status: int) -> None:
        """Set ``%lasterror%``, and ``%debuglasterror%`` as debug builds have it."""
        text = hex_status(status)
        self.host.set_internal_variable("debuglasterror", text)
        self.host.set_internal_variable("lasterror", text)

    def request_exit(self, code: int, *, script_only: bool) -> None:
        """``exit``: leave the innermost script, or the shell.

        Args:
            code: What ``lasterror`` or the shell's caller gets.
            script_only: ``/b``.
        """
        self.exit_code = code
        if script_only and self.programs:
            self._leave_script = True
        else:
            self.exit_requested = True

    def run_line(self, text: str) -> EfiStatus:
        """Run one line as typed at the prompt or found in a script."""
        try:
            return self._run_line(text)
        except LineTooLong as error:
            self._too_long(error)
            return _SUCCESS

    def _too_long(self, error: LineTooLong) -> None:
        self.host.print(f"The line is too long: {error}.\n")
        self.set_last_error(ShellStatus.BAD_BUFFER_SIZE)

    def _run_line(self, text: str) -> EfiStatus:
        if len(text) > LONGEST_LINE:
            raise LineTooLong(len(text))
        line = trim(cut_comment(trim(text)))
        if not line:
            return _SUCCESS
        line = self._expand(line)
        if find_pipe(line) >= 0:
            return self._run_pipe(line)
        tokens = lex(line)
        if not tokens:
            return _SUCCESS
        if not tokens[0].closed:
            self._not_found("")
            return _SUCCESS
        return self._run_named(tokens[0].text, line)

    def run_script(self, path: str, command_line: str) -> EfiStatus:
        """Run a script file.

        Args:
            path: Its full path.
            command_line: The line that called it; its words after the first are the arguments.
        """
        words = split_words(command_line, keep_quotes=True)
        if words is None:
            return EfiStatus.EFI_INVALID_PARAMETER
        data = self.host.read_file(path)
        if data is None:
            return EfiStatus.EFI_NOT_FOUND
        if len(self.programs) >= _DEEPEST_SCRIPT:
            self.host.print(f"{path}: scripts call each other more than {_DEEPEST_SCRIPT} deep.\n")
            return EfiStatus.EFI_OUT_OF_RESOURCES
        if b"\0" in data[:4096] and not data.startswith(b"\xff\xfe"):
            self.host.print(f"{path}: not a script: looks like a binary file.\n")
            return EfiStatus.EFI_UNSUPPORTED
        self.run_text(path, decode_text(data), words[1:])
        return _SUCCESS

    def run_text(self, path: str, text: str, arguments: list[str]) -> None:
        """Run a script's text; echo is restored after the outermost one.

        Args:
            path: ``%0``.
            text: The script.
            arguments: ``%1`` and up, quotes included.
        """
        echo = self.echo
        program = Program(path, text, arguments)
        self.programs.append(program)
        try:
            self._run_program(program)
        finally:
            self.programs.pop()
            if not self.programs:
                self.echo = echo

    def _run_program(self, program: Program) -> None:
        while (line := program.current) is not None:
            self.host.checkpoint()
            position = program.position
            text = self._with_arguments(line, program)
            command = text.lstrip(" ")
            if command and not command.startswith(":") and not self._run_script_line(text, command):
                return
            if program.position == position:
                program.advance()

    def _with_arguments(self, line: ScriptLine, program: Program) -> str:
        try:
            return substitute_arguments(clean_line(line.text), program.arguments)
        except LineTooLong as error:
            self._too_long(error)
            return ""

    def _run_script_line(self, shown: str, command: str) -> bool:
        """Run one line of a script; False where the script ends with it."""
        self.host.begin_line(command)
        try:
            return self._run_one(shown, command)
        finally:
            self.host.end_line()

    def _run_one(self, shown: str, command: str) -> bool:
        if command.startswith("@"):
            echo, self.echo = self.echo, False
            status = self.run_line(command[1:])
            if command not in ("@echo -off", "@echo -on"):
                self.echo = echo
        else:
            if self.echo:
                self.host.print(f"{self.prompt()}{shown}\n")
            status = self.run_line(command)
        if self._leave_script:
            self._leave_script = False
            self.set_last_error(self.exit_code)
            return False
        return not status.is_error and not self.exit_requested

    def prompt(self) -> str:
        """``FS0:\\> ``, or ``Shell> `` without a current drive."""
        folder = self.host.get_variable("cwd")
        return f"{folder}\\> " if folder else "Shell> "

    def _expand(self, line: str) -> str:
        host = self.host
        line = trim(substitute_alias(line, self.is_command, host.alias_of))
        loop_values = self.program.loop_values.items() if self.program is not None else ()
        line = trim(substitute_variables(line, host.variables(), loop_values))
        if "?" in line and asks_for_help(token.text for token in lex(line)):
            line = f"help {line}"
        return line

    def is_command(self, name: str) -> bool:
        """Whether a name is a word of the language or a command."""
        return name.lower() in WORDS or self.host.is_command(name)

    def _is_runnable(self, name: str) -> bool:
        if self.is_command(name):
            return True
        if name.endswith(":"):
            return " " not in name and name.index(":") == len(name) - 1
        return self.host.find_executable(name) is not None

    def _not_found(self, name: str) -> None:
        self.host.print(
            f"'{name}' is not recognized as an internal or external command, operable program, or script file.\n"
        )
        self.set_last_error(ShellStatus.NOT_FOUND)
        if name:
            self.host.unknown_name(name)

    def _run_named(self, name: str, line: str) -> EfiStatus:
        host = self.host
        if self.is_command(name):
            return self._run_redirected(name, line, None)
        if name.endswith(":") and " " not in name and name.index(":") == len(name) - 1:
            if host.change_drive(name):
                return _SUCCESS
            host.print(f"'{name}' is not a valid mapping.\n")
            return EfiStatus.EFI_NOT_FOUND
        path = host.find_executable(name) if name else None
        if path is None:
            self._not_found(name)
            return _SUCCESS
        return self._run_redirected(name, line, path)

    def _run_redirected(self, name: str, line: str, path: str | None) -> EfiStatus:
        host = self.host
        saved = host.stdin, host.stdout, host.stderr
        status: EfiStatus
        try:
            if self._pipes and self._pipes[-1] is not None:
                host.stdout = self._pipes[-1]
            redirection = Redirection(line) if host.takes_operators(name) else self._redirect(line)
            line = trim(redirection.command)
            status = self._run_internal(name, line) if path is None else self._run_file(path, line)
            if status.is_error:
                self._report(status)
        except RedirectionError as error:
            host.stdin, host.stdout, host.stderr = saved
            redundant = error.status is EfiStatus.EFI_NOT_FOUND
            host.print("Redundant redirection specified.\n" if redundant else "Unable to redirect file.\n")
            status = error.status
            self._report(status)
        except StreamError as error:
            host.stdin, host.stdout, host.stderr = saved
            host.print("Unable to redirect file.\n")
            status = error.status
            self.set_last_error(status.code)
            self._report(status)
        finally:
            opened = host.stdout, host.stderr
            host.stdin, host.stdout, host.stderr = saved
            for sink, old in zip(opened, saved[1:], strict=True):
                if sink is not old and sink not in self._pipes:
                    sink.close()
        return status

    def _redirect(self, line: str) -> Redirection:
        host = self.host
        redirection = split_redirection(line)
        piped = bool(self._pipes) and self._pipes[-1] is not None
        if piped and redirection.stdout is not None:
            raise RedirectionError(EfiStatus.EFI_INVALID_PARAMETER)
        for target in (redirection.stdout, redirection.stderr):
            if target is not None and target.kind == "variable" and host.is_volatile(target.name) is False:
                raise RedirectionError(EfiStatus.EFI_INVALID_PARAMETER)
        if redirection.stderr is not None:
            host.stderr = host.open_output(redirection.stderr)
        if redirection.stdout is not None:
            host.stdout = host.open_output(redirection.stdout)
        if redirection.stdin is not None:
            host.stdin = host.open_input(redirection.stdin)
        return redirection

    def _report(self, status: EfiStatus) -> None:
        program = self.program
        if program is None or program.current is None:
            self.host.print(f"Command Error Status: {status.phrase}\n")
        else:
            self.host.print(f"Script Error Status: {status.phrase} (line number {program.line_number})\n")

    def _run_internal(self, name: str, line: str) -> EfiStatus:
        words = split_words(line.replace("^#", "#"))
        lower = name.lower()
        status = EfiStatus.EFI_INVALID_PARAMETER
        if words is not None:
            result, status = self._dispatch(lower, words)
            if self.exit_requested:
                status = to_efi(result)
            elif (result and lower in ABORTING) or (result == ShellStatus.ABORTED and self.program is not None):
                status = EfiStatus.EFI_ABORTED
        if self.program is not None and lower not in ABORTING and status is not EfiStatus.EFI_ABORTED:
            return _SUCCESS
        return status

    def _dispatch(self, name: str, words: list[str]) -> tuple[int, EfiStatus]:
        word = WORDS.get(name)
        if word is not None:
            return word(self, words), _SUCCESS
        result, counts = self.host.run_command(name, words)
        if counts:
            self.set_last_error(result)
        return result, _SUCCESS

    def _run_file(self, path: str, line: str) -> EfiStatus:
        if path.lower().endswith(".nsh"):
            return self.run_script(self.host.full_path(path), line)
        status, code = self.host.start_image(path, line)
        self.set_last_error(status.code if status.is_error else code)
        return status if status.is_error else _SUCCESS

    def _run_pipe(self, line: str) -> EfiStatus:
        if not self._pipe_is_valid(line):
            return EfiStatus.EFI_NOT_FOUND
        status = self._run_split(line)
        if status.is_error:
            self.host.print("Invalid use of pipe (|).\n")
        return status

    def _pipe_is_valid(self, line: str) -> bool:
        """Whether every command in front of a pipe exists; the last one is looked up when it runs.

        Nothing in front of a pipe ends the line without a word.
        """
        while (pipe := find_pipe(line)) >= 0:
            front = trim(line[: line.index("|")])
            if not front:
                return False
            tokens = lex(self._expand(front))
            if tokens and tokens[0].closed and not self._is_runnable(tokens[0].text):
                self._not_found(tokens[0].text)
                return False
            line = line[pipe + 1 :]
            if line[:2] in ("a", "a "):
                line = line[1:]
        return True

    def _run_split(self, line: str) -> EfiStatus:
        left, _, right = line.partition("|")
        unicode = True
        if right[:2] in ("a", "a "):
            right, unicode = right[1:].lstrip(" "), False
        if not left or not right:
            return EfiStatus.EFI_INVALID_PARAMETER
        host = self.host
        sink = CapturedSink()
        saved = host.stdin
        self._pipes.append(sink)
        try:
            status = self.run_line(left)
            self._pipes[-1] = None
            if not status.is_error:
                text = sink.text if unicode else low_bytes(sink.text).decode("latin-1")
                host.stdin = TextSource(text)
                status = self.run_line(right)
        finally:
            host.stdin = saved
            self._pipes.pop()
        return status

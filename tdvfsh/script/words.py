"""The words of the language: ``if else endif for endfor goto shift``.

Each takes the interpreter and the words of its line. Their messages and statuses are firmware's; any status but success
of all but ``shift`` aborts the script.

Source: edk2 ShellPkg/Library/UefiShellLevel1CommandsLib (If.c, For.c, Goto.c, Shift.c).
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.blocks import find_else, find_label, find_tag
from tdvfsh.script.status import ShellStatus

if TYPE_CHECKING:
    from tdvfsh.script.interpreter import Interpreter
    from tdvfsh.script.loops import Loop
    from tdvfsh.script.program import Program, ScriptLine

Word = Callable[["Interpreter", list[str]], ShellStatus]


def _program(interpreter: Interpreter, shown: str) -> Program | None:
    if interpreter.program is None:
        interpreter.host.print(f"The command '{shown}' is incorrect outside of a script\n")
    return interpreter.program


def _no_match(interpreter: Interpreter, wanted: str, statement: str) -> None:
    program = interpreter.program
    line = program.line_number if program is not None else 0
    interpreter.host.print(f"No matching '{wanted}' for '{statement}' statement found. Line: {line}\n")


def run_if(interpreter: Interpreter, words: list[str]) -> ShellStatus:
    """``if``: continue with the next line, or after the matching ``else`` or ``endif``."""
    program = _program(interpreter, "if")
    if program is None:
        return ShellStatus.UNSUPPORTED
    host = interpreter.host
    if len(words) < 3:
        host.print("if: Too few arguments\n")
        return ShellStatus.INVALID_PARAMETER
    if find_tag(program, "endif", "if") is None:
        _no_match(interpreter, "EndIf", "If")
        return ShellStatus.DEVICE_ERROR
    from tdvfsh.script.conditions import Condition, ConditionError

    try:
        value = Condition(words, host).evaluate()
    except ConditionError:
        return ShellStatus.INVALID_PARAMETER
    if value is None:
        _no_match(interpreter, "Then", "If")
        return ShellStatus.INVALID_PARAMETER
    if not value:
        target = find_else(program)
        if target is not None:
            program.position = target
    return ShellStatus.SUCCESS


def run_else(interpreter: Interpreter, words: list[str]) -> ShellStatus:
    """``else``: reached at the end of a block that ran, so go to the ``endif``."""
    if len(words) > 1:
        interpreter.host.print("if: Too many arguments\n")
        return ShellStatus.INVALID_PARAMETER
    program = _program(interpreter, "Else")
    if program is None:
        return ShellStatus.UNSUPPORTED
    opened = find_tag(program, "if", "endif", forward=False)
    if opened is None or find_tag(program, "if", "else", forward=False) is None:
        _no_match(interpreter, "If", "Else")
        return ShellStatus.DEVICE_ERROR
    target = find_tag(program, "endif", "if")
    if target is None:
        _no_match(interpreter, "EndIf", "Else")
        return ShellStatus.DEVICE_ERROR
    program.position = target
    return ShellStatus.SUCCESS


def run_endif(interpreter: Interpreter, words: list[str]) -> ShellStatus:
    """``endif``: only looks whether an ``if`` stands above."""
    if len(words) > 1:
        interpreter.host.print("if: Too many arguments\n")
        return ShellStatus.INVALID_PARAMETER
    program = _program(interpreter, "Endif")
    if program is None:
        return ShellStatus.UNSUPPORTED
    if find_tag(program, "if", "endif", forward=False) is None:
        _no_match(interpreter, "If", "EndIf")
        return ShellStatus.DEVICE_ERROR
    return ShellStatus.SUCCESS


def run_for(interpreter: Interpreter, words: list[str]) -> ShellStatus:
    """``for``: on the first pass read the set, on every pass give the variable its next value."""
    program = _program(interpreter, "for")
    if program is None:
        return ShellStatus.UNSUPPORTED
    host = interpreter.host
    if len(words) < 4:
        host.print("for: Too few arguments\n")
        return ShellStatus.INVALID_PARAMETER
    line = program.current
    if line is None:
        return ShellStatus.UNSUPPORTED
    first = line.loop is None
    if first:
        status = _start_loop(interpreter, program, line, words)
        if status is not ShellStatus.SUCCESS:
            return status
    loop = line.loop
    if loop is None:
        return ShellStatus.INVALID_PARAMETER
    if line.entered:
        first, line.entered = True, False
    value, over = loop.next_value(first=first)
    if value is not None:
        program.loop_values[loop.variable] = value
    if over:
        line.loop = None
        target = find_tag(program, "endfor", "for")
        if loop.owns_variable:
            program.loop_values.pop(loop.variable, None)
        if target is None:
            _no_match(interpreter, "EndFor", "For")
            return ShellStatus.DEVICE_ERROR
        program.position = target + 1
    return ShellStatus.SUCCESS


def _start_loop(interpreter: Interpreter, program: Program, line: ScriptLine, words: list[str]) -> ShellStatus:
    host = interpreter.host
    if find_tag(program, "endfor", "for") is None:
        _no_match(interpreter, "EndFor", "For")
        return ShellStatus.DEVICE_ERROR
    from tdvfsh.script.loops import Loop, LoopError, is_loop_variable, run_bounds, set_values

    variable, kind = words[1], words[2].lower()
    if not is_loop_variable(variable):
        host.print(f"The script's Indexvar '{variable}' is incorrect\n")
        return ShellStatus.INVALID_PARAMETER
    if kind == "in":
        line.loop = Loop(variable, set_values(words[3:], host.expand_wildcards))
    elif kind == "run":
        if any(")" in word for word in words[3:-1]):
            return ShellStatus.INVALID_PARAMETER
        try:
            bounds = run_bounds(words[3:])
        except LoopError as error:
            host.print(f"The argument '{error}' is incorrect. Line: {program.line_number}\n")
            return ShellStatus.INVALID_PARAMETER
        line.loop = _counting_loop(variable, bounds, line)
    else:
        host.print(f"The argument '<null string>' is incorrect. Line: {program.line_number}\n")
        return ShellStatus.INVALID_PARAMETER
    line.loop.owns_variable = variable not in program.loop_values
    return ShellStatus.SUCCESS


def _counting_loop(variable: str, bounds: tuple[int, int, int], line: ScriptLine) -> Loop:
    from tdvfsh.script.loops import Loop

    """A counter. Quirk of edk2: step 0 makes it a set of the variable's own name, empty on a script's first line."""
    if bounds[2]:
        return Loop(variable, None, bounds)
    return Loop(variable, [variable] if line.entered else [])


def run_endfor(interpreter: Interpreter, words: list[str]) -> ShellStatus:
    """``endfor``: back to the ``for``."""
    program = _program(interpreter, "endfor")
    if program is None:
        return ShellStatus.UNSUPPORTED
    if len(words) > 1:
        interpreter.host.print("endfor: Too many arguments\n")
        return ShellStatus.INVALID_PARAMETER
    target = find_tag(program, "for", "endfor", forward=False)
    if target is None:
        _no_match(interpreter, "For", "EndFor")
        return ShellStatus.NOT_FOUND
    program.position = target
    return ShellStatus.SUCCESS


def run_goto(interpreter: Interpreter, words: list[str]) -> ShellStatus:
    """``goto``: to the line ``:label``."""
    program = _program(interpreter, "Goto")
    if program is None:
        return ShellStatus.UNSUPPORTED
    host = interpreter.host
    arguments = words[1:]
    for word in arguments:
        if word[:1] in ("-", "/", "+") and word not in ("-b", "-?"):
            host.print(f"goto: Unknown flag - '{word}'\n")
            return ShellStatus.INVALID_PARAMETER
    arguments = [word for word in arguments if word not in ("-b", "-?")]
    if len(arguments) != 1:
        host.print(f"goto: Too {'many' if arguments else 'few'} arguments\n")
        return ShellStatus.INVALID_PARAMETER
    label = f":{arguments[0]}"
    target = find_label(program, label)
    if target is None:
        _no_match(interpreter, label, "Goto")
        return ShellStatus.NOT_FOUND
    program.position = target
    return ShellStatus.SUCCESS


def run_shift(interpreter: Interpreter, words: list[str]) -> ShellStatus:
    """``shift``: drop ``%0``, so that every argument moves down by one (a quirk: ``%0`` moves too)."""
    program = _program(interpreter, "shift")
    if program is None:
        return ShellStatus.UNSUPPORTED
    if len(program.arguments) < 2:
        interpreter.host.print("shift: Too few arguments\n")
        return ShellStatus.UNSUPPORTED
    del program.arguments[0]
    return ShellStatus.SUCCESS


WORDS: dict[str, Word] = {
    "if": run_if,
    "else": run_else,
    "endif": run_endif,
    "for": run_for,
    "endfor": run_endfor,
    "goto": run_goto,
    "shift": run_shift,
}
ABORTING = frozenset(WORDS) - {"shift"}

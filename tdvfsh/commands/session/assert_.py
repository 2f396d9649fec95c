"""``assert``: for scripts in CI."""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import define

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell


def check(shell: Shell, words: list[str]) -> int:
    """Check that something holds; where it does not, say both values and end the script.

    SYNOPSIS:
        assert expression

    OPTIONS:
        expression: Comparisons, joined with and, or, not and parentheses: == != < <= > >=, or eq ne lt le gt ge.

    DESCRIPTION:
        < and > compare here and redirect nothing. Numbers are decimal, 0x hex, or sizes as in 3G; they can be added
        and subtracted. 'single quotes' hold a text with blanks. Names are in lower case, values begin with a capital.

        The machine: ram, accepted, unaccepted, shared, atboot, ondemand (bytes); available, largest (bytes of free
        memory, and of its largest piece); descriptors, mapkey, handles, tdcalls, tdexits, vcpus, gpaw, clock
        (nanoseconds), runtime (boot services are gone). type(address), attribute(address), sept(address),
        gcd(address): what is there. bytes(type): bytes of a memory type. calls(service): records of the journal.

        The last boot: booted, status, stage, bootaccepted, bootondemand, bootleft (bytes); placement(what), end(what),
        size(what), where what is kernel, initrd, image, kernel_file and so on, as 'boot' names it.

        The shell: lasterror, var(name), exists(file).

        Words with a meaning: memory types (EfiLoaderData, LoaderData, Unaccepted), statuses (NOT_FOUND, which is also
        its number), states of the secure EPT (MAPPED, PENDING, FREE), types of the GCD map, stages of a boot; true,
        false, and none for what is not there.

        Where it holds nothing is printed and lasterror stays. Where it does not, or cannot be read, lasterror is
        ABORTED, and a script ends with it.

    EXAMPLES:
        assert unaccepted == 3G
        assert type(0x100000000) == EfiUnacceptedMemory and largest ge 64M
        assert lasterror == OUT_OF_RESOURCES
        assert booted and placement(kernel) == 0x1000000

    RETURNVALUES:
        SUCCESS: It holds.
        ABORTED: It does not hold, or makes no sense.
    """
    from tdvfsh.commands.session.expression import evaluate
    from tdvfsh.commands.session.facts import ShellFacts
    from tdvfsh.errors import TdvfshError

    text = " ".join(words)
    try:
        outcome = evaluate(text, ShellFacts(shell))
    except TdvfshError as error:
        shell.print(f"assert: {error}\n")
        return _fail(shell)
    if outcome.holds:
        return ShellStatus.SUCCESS
    whole = outcome.failed[0].text == text if len(outcome.failed) == 1 else False
    if not whole:
        shell.print(f"assert: {text} does not hold\n")
    for one in outcome.failed:
        shell.print(f"assert: {one}\n" if whole else f"  {one}\n")
    return _fail(shell)


def _fail(shell: Shell) -> ShellStatus:
    shell.interpreter.set_last_error(ShellStatus.ABORTED)
    return ShellStatus.ABORTED


define("assert", check, profile="td", counts=False, raw=True)

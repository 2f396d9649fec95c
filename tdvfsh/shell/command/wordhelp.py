"""Help for the words of the script language."""

from __future__ import annotations

WORD_HELP: dict[str, str] = {
    "if": """Run lines only where a condition holds.

    SYNOPSIS:
        if [/i] [/s] [not] exist path then
        if [/i] [/s] [not] a operator b [and|or ...] then
        if [not] isint(a) | available(file) | profile(name) then
        ...
        [else]
        ...
        endif

    OPTIONS:
        /i: Compare text without regard to case.
        /s: Compare as text even where both sides are numbers.
        operator: == eq ne gt lt ge le; ugt ult uge ule compare numbers without sign.

    DESCRIPTION:
        Two numbers compare as numbers; bare hex digits such as abc count as a number. Conditions are joined from left
        to right: the first or after a true one, and the first and after a false one, decide. then ends the line. The
        words work in scripts only and leave lasterror alone.

    EXAMPLES:
        if exist fs0:\\vmlinuz and %size% gt 100 then
    """,
    "else": """The lines for a condition that does not hold.

    SYNOPSIS:
        else
    """,
    "endif": """The end of an if block.

    SYNOPSIS:
        endif
    """,
    "for": """Run lines once for each value.

    SYNOPSIS:
        for %a in value...
        for %a run (first last [step])
        ...
        endfor

    OPTIONS:
        %a: One letter; capitals count.
        value: A word, or a pattern that becomes the files that fit; it stays as it is where none does.
        first, last, step: Whole numbers of up to six digits; the step is 1 or -1 without a third one.

    DESCRIPTION:
        Inside the block %a stands for the value. A goto out of the block leaves the variable in use.

    EXAMPLES:
        for %k in fs0:\\*.efi
          load %k
        endfor
    """,
    "endfor": """The end of a for block.

    SYNOPSIS:
        endfor
    """,
    "goto": """Continue at a label.

    SYNOPSIS:
        goto label

    DESCRIPTION:
        The label is a line of its own that begins with a colon. It is looked for from here downwards, then from the
        top. A for block can be left but not entered.

    EXAMPLES:
        goto again
        :again
    """,
    "shift": """Move the script's arguments down by one: %2 becomes %1.

    SYNOPSIS:
        shift

    DESCRIPTION:
        %0 takes the place of what was %1 too, as firmware has it.
    """,
}

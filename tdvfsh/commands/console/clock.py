"""``stall``, ``date``, ``time``, ``timezone``, ``getmtc``.

They show and set the machine's real-time clock. It starts at a fixed date and advances with the virtual clock, which
passes only when something lets it.

Source: edk2 ShellPkg/Library/UefiShellLevel2CommandsLib/TimeDate.c, UefiShellLevel1CommandsLib/Stall.c,
UefiShellLevel3CommandsLib/GetMtc.c.
"""

from __future__ import annotations

from tdvfsh.dxe.time import MAXIMUM_ZONE, is_valid
from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated, Final
from tdvfsh.script.numbers import to_uintn
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Count, Flag, Option, Text
from tdvfsh.shell.machine_binding import machine_of, real_time_clock
from tdvfsh.uefi.efi_time import EFI_UNSPECIFIED_TIMEZONE, EfiTime
from tdvfsh.units import parse_decimal

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

_DAYLIGHT: Final = {0: "Not Affected", 1: "Affected", 2: "Adjusted", 3: "Affected and Adjusted"}


def _now(shell: Shell) -> EfiTime:
    """GetTime.

    Raises:
        UsageError: The date has passed what the clock can count to.
    """
    now = real_time_clock(shell).get_time(shell.clock.now_ns).time
    if now is None:
        raise UsageError("the clock has passed the year 9999; 'date' sets it")
    return now


def _set(shell: Shell, time: EfiTime) -> bool:
    """SetTime; False for a field out of range."""
    if not is_valid(time):
        return False
    machine = machine_of(shell)
    return not machine.services.core.real_time_clock.set_time(time, machine.clock.now_ns).is_error


def _numbers(text: str, separator: str, least: int) -> list[int] | None:
    parts = text.split(separator)
    if not least <= len(parts) <= 3 or not text[:1].isdecimal():
        return None
    if "" in parts[:least]:
        return None
    numbers = [parse_decimal(part or "0") for part in parts]
    return [number for number in numbers if number is not None] if None not in numbers else None


@command("stall", level=1, counts=False)
def stall(shell: Shell, microseconds: Count) -> ShellStatus:
    """Let the virtual clock advance.

    SYNOPSIS:
        stall microseconds

    DESCRIPTION:
        Nothing waits: the clock of the virtual machine is set forward. The status does not go into lasterror.

    EXAMPLES:
        Let a second pass:
        stall 1000000

    RETURNVALUES:
        SUCCESS: The time has passed.
        INVALID_PARAMETER: It is not a number.
    """
    shell.clock.advance(microseconds * 1000)
    return ShellStatus.SUCCESS


@command("date", level=2)
def date(shell: Shell, value: Text | None = None, *, sfo: Flag = False) -> ShellStatus:
    """Show or set the date of the virtual clock.

    SYNOPSIS:
        date [mm/dd/[yy]yy] [-sfo]

    OPTIONS:
        -sfo: Print Standard-Format Output.

    EXAMPLES:
        Show the date:
        date
        Set it with a long year:
        date 01/01/2050
        Set it with a short year:
        date 06/18/01

    RETURNVALUES:
        SUCCESS: Done.
        INVALID_PARAMETER: There is no such day.
    """
    if value is None:
        now = _now(shell)
        if sfo:
            shell.print(f'ShellCommand,"date"\nDate,"{now.day:02}","{now.month:02}","{now.year:04}"\n')
        else:
            shell.print(f"{now.month:02}/{now.day:02}/{now.year:04}\n")
        return ShellStatus.SUCCESS
    numbers = _numbers(value, "/", 3)
    if numbers is not None:
        month, day, year = numbers
        year += (1900 if year >= 98 else 2000) if year < 100 else 0
        before = real_time_clock(shell).get_time(shell.clock.now_ns).time or EfiTime(
            year=year, month=month, day=day, hour=0, minute=0, second=0
        )
        if _set(shell, before._replace(year=year, month=month, day=day)):
            return ShellStatus.SUCCESS
    shell.print(f"date: Invalid argument - '{value}'\n")
    return ShellStatus.INVALID_PARAMETER


@command("time", level=2, numbers=True)
def time(
    shell: Shell,
    value: Text | None = None,
    *,
    d: Annotated[Text | None, Option("-d", optional_value=True)] = None,
    tz: Annotated[Text | None, Option("-tz", optional_value=True)] = None,
) -> ShellStatus:
    """Show or set the time of the virtual clock.

    SYNOPSIS:
        time [hh:mm[:ss]] [-tz zone] [-d daylight]

    OPTIONS:
        -tz zone: Minutes from UTC, -1440 to 1440, or _local.
        -d daylight: 0 not affected, 1 affected, 3 affected and adjusted; without a number it is shown.

    EXAMPLES:
        Show the time:
        time
        Set it:
        time 9:51:30
        Show daylight saving too:
        time -d

    RETURNVALUES:
        SUCCESS: Done.
        INVALID_PARAMETER: There is no such time.
    """
    now = _now(shell)
    if value is None and tz is None and (d is None or not d):
        shown = f"{now.hour:02}:{now.minute:02}:{now.second:02} ({_zone_text(now.time_zone)})"
        shell.print(shown + (f" DST: {_DAYLIGHT[now.daylight]}\n" if d is not None else "\n"))
        return ShellStatus.SUCCESS
    if tz:
        zone = _parse_zone(tz)
        if zone is None:
            shell.print(f"time: Bad value - '{tz.lstrip('+-')}' for flag - '-tz'\n")
            return ShellStatus.INVALID_PARAMETER
        now = now._replace(time_zone=zone)
    if d:
        daylight = to_uintn(d)
        if daylight not in (0, 1, 3):
            shell.print(f"time: Bad value - '{d}' for flag - '-d'\n")
            return ShellStatus.INVALID_PARAMETER
        now = now._replace(daylight=daylight)
    if value is not None:
        numbers = _numbers(value, ":", 2)
        hour, minute, second = [*(numbers or [99, 0]), 0, 0][:3]
        if hour > 23 or minute > 59 or second > 59:
            shell.print(f"time: Invalid argument - '{value}'\n")
            return ShellStatus.INVALID_PARAMETER
        now = now._replace(hour=hour, minute=minute, second=second)
    return ShellStatus.SUCCESS if _set(shell, now) else ShellStatus.DEVICE_ERROR


def _parse_zone(text: str) -> int | None:
    if text.lower() == "_local":
        return EFI_UNSPECIFIED_TIMEZONE
    minutes = to_uintn(text.lstrip("+-"))
    if minutes > MAXIMUM_ZONE:
        return None
    return minutes if text.startswith("-") else -minutes


def _zone_text(zone: int) -> str:
    if zone == EFI_UNSPECIFIED_TIMEZONE:
        return "LOCAL"
    return f"UTC{'-' if zone > 0 else '+'}{abs(zone) // 60:02}:{abs(zone) % 60:02}"


@command("timezone", level=2, numbers=True)
def timezone(
    shell: Shell,
    *,
    l: Flag = False,  # noqa: E741 - the option's name
    f: Flag = False,
    s: Annotated[Text | None, Option("-s", time=True)] = None,
) -> ShellStatus:
    """Show or set the time zone of the virtual clock.

    SYNOPSIS:
        timezone [-l] [-f] [-s hh:mm|_local]

    OPTIONS:
        -l: List all time zones.
        -f: Show the current one in full.
        -s hh:mm: Set it to the zone of a place in the list; a minus lies west of Greenwich.

    EXAMPLES:
        List all zones:
        timezone -l
        Set one west of Greenwich:
        timezone -s -7:00
        Show it in full:
        timezone -f

    RETURNVALUES:
        SUCCESS: Done.
        INVALID_PARAMETER: There is no such zone.
    """
    from tdvfsh.commands.console.timezones import ZONES

    if l:
        for minutes, places in ZONES:
            shell.print(f"{_zone_column(minutes)}, {places}\n")
        return ShellStatus.SUCCESS
    if s is not None:
        zone = _read_zone(s)
        if zone is None:
            shell.print(f"timezone: Invalid argument - '{s}'\n")
            return ShellStatus.INVALID_PARAMETER
        return ShellStatus.SUCCESS if _set(shell, _now(shell)._replace(time_zone=zone)) else ShellStatus.DEVICE_ERROR
    zone = _now(shell).time_zone
    if not f:
        shell.print(f"{_zone_text(zone)}\n")
        return ShellStatus.SUCCESS
    known = dict(ZONES).get(zone)
    shown = f"{_zone_column(zone)}, {known}" if known is not None else "No additional information known."
    shell.print(f"{shown}\n")
    return ShellStatus.SUCCESS


def _read_zone(text: str) -> int | None:
    """The zone of ``-s``: only hours and minutes that are those of a place, west of Greenwich after a minus."""
    from tdvfsh.commands.console.timezones import ZONES

    if text.lower() == "_local":
        return EFI_UNSPECIFIED_TIMEZONE
    hours, colon, minutes = text.removeprefix("-").partition(":")
    if not (colon and hours.isdecimal() and (minutes.isdecimal() or not minutes)):
        return None
    away = int(hours[:5]) * 60 + int(minutes[:5] or "0")
    zone = away if text.startswith("-") else -away
    return zone if zone in dict(ZONES) else None


def _zone_column(zone: int) -> str:
    return f"{'UTC' if zone == 0 else _zone_text(zone):<9}"


@command("getmtc", level=3)
def getmtc(shell: Shell) -> ShellStatus:
    """Show the monotonic counter, which each call raises by one.

    SYNOPSIS:
        getmtc

    DESCRIPTION:
        The upper half counts starts of the machine, 'td new' among them, the lower half calls.

    EXAMPLES:
        Show the counter:
        getmtc

    RETURNVALUES:
        SUCCESS: Shown.
    """
    shell.print(f"{machine_of(shell).services.core.monotonic_counter.get_next_monotonic_count():016X}\n")
    return ShellStatus.SUCCESS

"""``stall``, ``date``, ``time``, ``timezone``, ``getmtc``.

Time here is the virtual clock: it starts at a fixed date and passes only when something lets it. Setting it moves the
shell's idea of the start.

Source: edk2 ShellPkg/Library/UefiShellLevel2CommandsLib/TimeDate.c, UefiShellLevel1CommandsLib/Stall.c,
UefiShellLevel3CommandsLib/GetMtc.c.
"""

from __future__ import annotations

import time as host_time
from calendar import timegm
from typing import TYPE_CHECKING, Annotated

from tdvfsh.script.numbers import to_uintn
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Count, Flag, Option, Text
from tdvfsh.units import parse_decimal

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

_LOCAL = 0x7FF  # EFI_UNSPECIFIED_TIMEZONE
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FIRST_YEAR, _LAST_YEAR = 1998, 2097  # the years that OVMF's clock takes
_DAYLIGHT = {0: "Not Affected", 1: "Affected", 2: "Adjusted", 3: "Affected and Adjusted"}


class _Settings:
    """Time zone in minutes west of UTC, as the table of zones counts, and the daylight bits."""

    def __init__(self) -> None:
        self.zone = _LOCAL
        self.daylight = 0

    def copy(self) -> _Settings:
        twin = _Settings()
        twin.zone, twin.daylight = self.zone, self.daylight
        return twin


def _settings(shell: Shell) -> _Settings:
    settings = shell.state.setdefault("clock", _Settings())
    assert isinstance(settings, _Settings)
    return settings


def _now(shell: Shell) -> host_time.struct_time:
    return host_time.gmtime(shell.start_time + shell.clock.now_ns // 1_000_000_000)


def _set(shell: Shell, now: tuple[int, int, int, int, int, int]) -> None:
    shell.start_time = timegm((*now, 0, 0, 0)) - shell.clock.now_ns // 1_000_000_000


def _numbers(text: str, separator: str, least: int) -> list[int] | None:
    parts = text.split(separator)
    if not least <= len(parts) <= 3 or not text[:1].isdecimal():
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

    RETURNVALUES:
        SUCCESS: The time has passed.
        INVALID_PARAMETER: That is no number.
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

    RETURNVALUES:
        SUCCESS: Done.
        INVALID_PARAMETER: There is no such day.
    """
    now = _now(shell)
    if value is None:
        if sfo:
            shell.print(f'ShellCommand,"date"\nDate,"{now.tm_mday:02}","{now.tm_mon:02}","{now.tm_year:04}"\n')
        else:
            shell.print(f"{now.tm_mon:02}/{now.tm_mday:02}/{now.tm_year:04}\n")
        return ShellStatus.SUCCESS
    numbers = _numbers(value, "/", 3)
    if numbers is not None:
        month, day, year = numbers
        year += (1900 if year >= 98 else 2000) if year < 100 else 0
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        last_day = 28 if month == 2 and not leap else _DAYS[month - 1] if 1 <= month <= 12 else 0
        if 1 <= day <= last_day and _FIRST_YEAR <= year <= _LAST_YEAR:
            _set(shell, (year, month, day, now.tm_hour, now.tm_min, now.tm_sec))
            return ShellStatus.SUCCESS
    shell.print(f"date: Invalid argument - '{value}'\n")
    return ShellStatus.INVALID_PARAMETER


@command("time", level=2, numbers=True)
def time(
    shell: Shell,
    value: Text | None = None,
    *,
    d: Annotated[Text | None, Option("-d", optional_value=True)] = None,
    tz: Annotated[Text | None, Option("-tz")] = None,
) -> ShellStatus:
    """Show or set the time of the virtual clock.

    SYNOPSIS:
        time [hh:mm[:ss]] [-tz zone] [-d daylight]

    OPTIONS:
        -tz zone: Minutes from UTC, -1440 to 1440, or _local.
        -d daylight: 0 not affected, 1 affected, 3 affected and adjusted; without a number it is shown.

    RETURNVALUES:
        SUCCESS: Done.
        INVALID_PARAMETER: There is no such time.
    """
    settings = _settings(shell)
    if value is None and tz is None and (d is None or not d):
        now = _now(shell)
        shown = f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02} ({_zone_text(settings.zone)})"
        shell.print(shown + (f" DST: {_DAYLIGHT[settings.daylight]}\n" if d is not None else "\n"))
        return ShellStatus.SUCCESS
    zone = settings.zone
    if tz is not None:
        parsed = _parse_zone(tz)
        if parsed is None:
            shell.print(f"time: Bad value - '{tz.lstrip('+-')}' for flag - '-tz'\n")
            return ShellStatus.INVALID_PARAMETER
        zone = parsed
    daylight = settings.daylight
    if d:
        daylight = to_uintn(d)
        if daylight not in (0, 1, 3):
            shell.print(f"time: Bad value - '{d}' for flag - '-d'\n")
            return ShellStatus.INVALID_PARAMETER
    if value is not None:
        numbers = _numbers(value, ":", 2)
        hour, minute, second = [*(numbers or [99, 0]), 0, 0][:3]
        if hour > 23 or minute > 59 or second > 59:
            shell.print(f"time: Invalid argument - '{value}'\n")
            return ShellStatus.INVALID_PARAMETER
        now = _now(shell)
        _set(shell, (now.tm_year, now.tm_mon, now.tm_mday, hour, minute, second))
    settings.zone, settings.daylight = zone, daylight
    return ShellStatus.SUCCESS


def _parse_zone(text: str) -> int | None:
    if text.lower() == "_local":
        return _LOCAL
    minutes = to_uintn(text.lstrip("+-"))
    if minutes > 1440:
        return None
    return minutes if text.startswith("-") else -minutes


def _zone_text(zone: int) -> str:
    if zone == _LOCAL:
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

    RETURNVALUES:
        SUCCESS: Done.
        INVALID_PARAMETER: There is no such zone.
    """
    from tdvfsh.commands.console.timezones import ZONES

    settings = _settings(shell)
    if l:
        for minutes, places in ZONES:
            shell.print(f"{_zone_column(minutes)}, {places}\n")
        return ShellStatus.SUCCESS
    if s is not None:
        zone = _read_zone(s)
        if zone is None:
            shell.print(f"timezone: Invalid argument - '{s}'\n")
            return ShellStatus.INVALID_PARAMETER
        settings.zone = zone
        return ShellStatus.SUCCESS
    if not f:
        shell.print(f"{_zone_text(settings.zone)}\n")
        return ShellStatus.SUCCESS
    known = dict(ZONES).get(settings.zone)
    shown = f"{_zone_column(settings.zone)}, {known}" if known is not None else "No additional information known."
    shell.print(f"{shown}\n")
    return ShellStatus.SUCCESS


def _read_zone(text: str) -> int | None:
    """The zone of ``-s``: only hours and minutes that are those of a place, west of Greenwich behind a minus."""
    from tdvfsh.commands.console.timezones import ZONES

    if text.lower() == "_local":
        return _LOCAL
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
        The upper half counts starts of the machine, the lower half calls.

    RETURNVALUES:
        SUCCESS: Shown.
    """
    count = shell.state.get("monotonic", 1 << 32)
    assert isinstance(count, int)
    shell.state["monotonic"] = count + 1
    shell.print(f"{count:016X}\n")
    return ShellStatus.SUCCESS

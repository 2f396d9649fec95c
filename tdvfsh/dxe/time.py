"""The real-time clock of the time services: date, zone, daylight and wakeup alarm.

The date advances with the virtual clock of the machine. It counts whole seconds, as the CMOS clock does; zone and
daylight are kept beside it. Nothing depends on the host's clock.

Source: UEFI 2.10 8.3; edk2 PcAtChipsetPkg/PcatRealTimeClockRuntimeDxe/PcRtc.c, whose years OVMF bounds by
PcdMinimalValidYear and PcdMaximalValidYear.
"""

from __future__ import annotations

from tdvfsh.lazy_dataclass import dataclass, replace
from tdvfsh.lazy_typing import TYPE_CHECKING, Final, NamedTuple
from tdvfsh.uefi.efi_time import (
    EFI_TIME_ADJUST_DAYLIGHT,
    EFI_TIME_IN_DAYLIGHT,
    EFI_UNSPECIFIED_TIMEZONE,
    EfiTime,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus

if TYPE_CHECKING:
    from datetime import datetime

START_SECONDS: Final = 1_704_164_640
"""The date at virtual time 0 unless another one is set, 2024-01-02 03:04:00, in seconds since 1970."""

FIRST_YEAR: Final = 1998
LAST_YEAR: Final = 2097
MAXIMUM_ZONE: Final = 1440
_SECOND_NS: Final = 1_000_000_000
_DAYLIGHT: Final = EFI_TIME_ADJUST_DAYLIGHT | EFI_TIME_IN_DAYLIGHT
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER


class TimeResult(NamedTuple):
    """``time`` is None unless the status is EFI_SUCCESS."""

    status: EfiStatus
    time: EfiTime | None


class WakeupResult(NamedTuple):
    """What GetWakeupTime returns; ``time`` is None unless the status is EFI_SUCCESS."""

    status: EfiStatus
    enabled: bool
    pending: bool
    time: EfiTime | None


@dataclass(slots=True)
class RealTimeClock:
    """The clock; every service takes the virtual time, in nanoseconds.

    Attributes:
        start_ns: Nanoseconds since 1970 that the date shows at virtual time 0.
        time_zone: Minutes that the date is behind UTC; EFI_UNSPECIFIED_TIMEZONE for local time.
        daylight: EFI_TIME_ADJUST_DAYLIGHT and EFI_TIME_IN_DAYLIGHT.
        wakeup: Date of the alarm; None before one was set.
        wakeup_enabled: Whether the alarm is on.
        wakeup_pending: Whether the alarm's date is still to come or has come and was not queried since.
    """

    start_ns: int = START_SECONDS * _SECOND_NS
    time_zone: int = EFI_UNSPECIFIED_TIMEZONE
    daylight: int = 0
    wakeup: datetime | None = None
    wakeup_enabled: bool = False
    wakeup_pending: bool = False

    def copy(self) -> RealTimeClock:
        """An independent clock that shows the same."""
        return replace(self)

    def restart(self, now_ns: int) -> RealTimeClock:
        """This clock for a machine whose virtual time begins anew: the date continues."""
        return replace(self, start_ns=self.start_ns + now_ns)

    def unix_seconds(self, now_ns: int) -> int:
        """Seconds since 1970 of the date, its zone left out."""
        return (self.start_ns + now_ns) // _SECOND_NS

    def now(self, now_ns: int) -> datetime:
        """The date to the microsecond, labelled UTC whatever its zone.

        Raises:
            OverflowError: It lies after the year 9999.
        """
        from datetime import UTC, datetime, timedelta

        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=(self.start_ns + now_ns) // 1000)

    def get_time(self, now_ns: int) -> TimeResult:
        """GetTime.

        Returns:
            EFI_DEVICE_ERROR: The date has passed what the clock can count to.
        """
        try:
            now = self.now(now_ns)
        except OverflowError:
            return TimeResult(EfiStatus.EFI_DEVICE_ERROR, None)
        return TimeResult(SUCCESS, self._time(now))

    def set_time(self, time: EfiTime, now_ns: int) -> EfiStatus:
        """SetTime; EFI_INVALID_PARAMETER for a field out of range."""
        if not is_valid(time):
            return _INVALID
        self.start_ns = int(_moment(time).timestamp()) * _SECOND_NS - now_ns
        self.time_zone, self.daylight = time.time_zone, time.daylight
        return SUCCESS

    def get_wakeup_time(self, now_ns: int) -> WakeupResult:
        """GetWakeupTime; an alarm that has gone off is pending once. Midnight of today where none was ever set.

        Returns:
            EFI_DEVICE_ERROR: The date has passed what the clock can count to.
        """
        try:
            now = self.now(now_ns)
        except OverflowError:
            return WakeupResult(EfiStatus.EFI_DEVICE_ERROR, False, False, None)
        alarm = self.wakeup or now.replace(hour=0, minute=0, second=0)
        pending = self.wakeup_pending and alarm <= now
        if pending:
            self.wakeup_pending = False
        return WakeupResult(SUCCESS, self.wakeup_enabled, pending, self._time(alarm))

    def set_wakeup_time(self, enable: bool, time: EfiTime | None, now_ns: int) -> EfiStatus:
        """SetWakeupTime; ``time`` does not count where the alarm is switched off.

        Returns:
            EFI_INVALID_PARAMETER: No time, or a field out of range.
            EFI_UNSUPPORTED: The time does not lie within the next 24 hours.
            EFI_DEVICE_ERROR: The date has passed what the clock can count to.
        """
        if not enable:
            self.wakeup_enabled = self.wakeup_pending = False
            return SUCCESS
        if time is None or not is_valid(time):
            return _INVALID
        from datetime import timedelta

        try:
            now = self.now(now_ns).replace(microsecond=0)
            latest = now + timedelta(days=1)
        except OverflowError:
            return EfiStatus.EFI_DEVICE_ERROR
        if not now <= _moment(time) <= latest:
            return EfiStatus.EFI_UNSUPPORTED
        self.wakeup, self.wakeup_enabled, self.wakeup_pending = _moment(time), True, True
        return SUCCESS

    def _time(self, moment: datetime) -> EfiTime:
        return EfiTime(*moment.timetuple()[:6], time_zone=self.time_zone, daylight=self.daylight)


def is_valid(time: EfiTime) -> bool:
    """Whether every field is in the range that OVMF's clock takes."""
    from calendar import monthrange

    return (
        FIRST_YEAR <= time.year <= LAST_YEAR
        and 1 <= time.month <= 12
        and 1 <= time.day <= monthrange(time.year, time.month)[1]
        and time.hour <= 23
        and time.minute <= 59
        and time.second <= 59
        and time.nanosecond < _SECOND_NS
        and (time.time_zone == EFI_UNSPECIFIED_TIMEZONE or abs(time.time_zone) <= MAXIMUM_ZONE)
        and not time.daylight & ~_DAYLIGHT
    )


def _moment(time: EfiTime) -> datetime:
    from datetime import UTC, datetime

    return datetime(time.year, time.month, time.day, time.hour, time.minute, time.second, tzinfo=UTC)

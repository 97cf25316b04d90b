"""The extension payloads of dates, times and time zones. codec/VALUES.md has the layouts."""

from __future__ import annotations

import datetime
import re
import struct
import zoneinfo
from typing import Any, Optional, Set, Tuple

_AWARE = 2  # flag of datetimes and times; bit 0 is fold
_CLOCK = struct.Struct(">qB")
_OFFSET = struct.Struct(">iI")
_TIMEDELTA = struct.Struct(">iII")
_DATE = struct.Struct(">i")

# freezegun replaces these classes in every module attribute, but not inside a tuple. It may have
# done so before this import.
CLASSES: Tuple[Any, ...] = tuple(
    next(c for c in cls.__mro__ if c.__module__ == "datetime")
    for cls in (datetime.datetime, datetime.date, datetime.time, datetime.timedelta)
)
_EPOCH = CLASSES[0](1970, 1, 1)
_date_of = CLASSES[1].fromordinal
_MICROSECOND = datetime.timedelta(microseconds=1)
_DAY = datetime.timedelta(days=1)
_DAY_MICROSECONDS = _DAY // _MICROSECOND

# On the wire, UTC is timezone.utc. ZoneInfo("UTC") prints differently, so it has another name of
# that zone.
_UTC, _ZONEINFO_UTC = "UTC", "posix/UTC"
_UTC_PACKED = _OFFSET.pack(0, 0) + _UTC.encode()
# The offset of a time of day in a zone such as Europe/Berlin is unknown, because it depends on the
# date. No zone has this offset.
_NO_OFFSET = -_DAY + _MICROSECOND
_ZONE_NAME = re.compile(r"[A-Za-z0-9+_-]+(/[A-Za-z0-9+_-]+)*")
_MAX_ZONE_NAME = 255
_MAX_UNKNOWN = 1000
_unknown_zones: Set[str] = set()  # names unknown on this machine; a lookup takes 100 us


# ---- encoding


def pack_datetime(value: Any) -> bytes:
    """The payload of a datetime. TypeError or ValueError if its zone cannot be stored."""
    microseconds = (value.replace(tzinfo=None, fold=0) - _EPOCH) // _MICROSECOND
    zone, fold = _datetime_zone(value) if value.tzinfo is not None else (b"", value.fold)
    return _CLOCK.pack(microseconds, fold | (_AWARE if zone else 0)) + zone


def pack_time(value: datetime.time) -> bytes:
    """The payload of a time. Errors: those of pack_datetime."""
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    zone = _time_zone(value) if value.tzinfo is not None else b""
    return _CLOCK.pack(seconds * 1_000_000 + value.microsecond, value.fold | (_AWARE if zone else 0)) + zone


def pack_date(value: datetime.date) -> bytes:
    """The payload of a date."""
    return _DATE.pack(value.toordinal())


def pack_timedelta(value: datetime.timedelta) -> bytes:
    """The payload of a timedelta."""
    return _TIMEDELTA.pack(value.days, value.seconds, value.microseconds)


def _zone(offset: datetime.timedelta, name: str) -> bytes:
    return _OFFSET.pack(*divmod(offset // _MICROSECOND, 1_000_000)) + name.encode()


def _datetime_zone(value: Any) -> Tuple[bytes, int]:
    """The zone of an aware datetime, and its fold in that zone."""
    zone = value.tzinfo
    if zone is datetime.timezone.utc:
        return _UTC_PACKED, value.fold
    offset = value.utcoffset()
    if offset is None:
        raise _no_meaning(zone)
    if type(zone) is datetime.timezone:
        return _zone(offset, _own_name(zone)), value.fold
    region = _region(zone)
    if region is None:
        return _zone(offset, _fixed_name(zone, offset)), value.fold
    for fold in (value.fold, 1 - value.fold):  # pytz has a zone object per offset instead of fold
        if value.replace(tzinfo=region, fold=fold).utcoffset() == offset:
            return _zone(offset, _region_name(zone, region)), fold
    raise ValueError(
        f"{value!r} cannot be stored: its offset is {offset}, but {region.key} has another one at that time; "
        "with pytz, use zone.localize(datetime)"
    )


def _time_zone(value: datetime.time) -> bytes:
    zone: Any = value.tzinfo
    offset = value.utcoffset()
    if type(zone) is datetime.timezone:
        return _zone(zone.utcoffset(None), _own_name(zone))
    region = _region(zone)
    if region is not None:
        return _zone(_NO_OFFSET if offset is None else offset, _region_name(zone, region))
    if offset is None:
        raise _no_meaning(zone)
    return _zone(offset, _fixed_name(zone, offset))


def _own_name(zone: datetime.timezone) -> str:
    """The name of a fixed offset, empty if it has none."""
    if zone is datetime.timezone.utc:
        return _UTC
    arguments: Any = zone.__reduce__()[1]
    return "".join("=" + name for name in arguments[1:])


def _fixed_name(zone: datetime.tzinfo, offset: datetime.timedelta) -> str:
    """The name of another library's zone with a fixed offset.

    TypeError if its offset is not fixed.
    """
    if zone.utcoffset(None) != offset:
        raise _no_meaning(zone)
    name = zone.tzname(None)
    if offset == datetime.timedelta(0) and name in (None, _UTC):
        return _UTC
    return "" if name is None or name == datetime.timezone(offset).tzname(None) else "=" + name


def _no_meaning(zone: Any) -> TypeError:
    return TypeError(
        f"a time in the zone {zone!r} cannot be stored: zoneinfo does not know its name, and it has no fixed offset; "
        "use zoneinfo.ZoneInfo(name), or value.astimezone(datetime.timezone.utc)"
    )


def _region(zone: Any) -> Optional[zoneinfo.ZoneInfo]:
    """The zoneinfo zone with the name of any library's zone; None if it is unknown."""
    name = getattr(zone, "key", None) or getattr(zone, "zone", None) or _dateutil_name(zone)
    return find_zone(name) if isinstance(name, str) else None


def _dateutil_name(zone: Any) -> Optional[str]:
    """The IANA key in "tzfile('/usr/share/zoneinfo/Europe/Berlin')"."""
    if not type(zone).__module__.startswith("dateutil.tz"):
        return None
    found = re.fullmatch(r"tzfile\('(?:.*/zoneinfo/)?(.*)'\)", repr(zone))
    return found and found[1]


def _region_name(zone: Any, region: zoneinfo.ZoneInfo) -> str:
    if region.key == _UTC and isinstance(zone, zoneinfo.ZoneInfo):
        return _ZONEINFO_UTC
    return region.key


def find_zone(name: str) -> Optional[zoneinfo.ZoneInfo]:
    """The zone of an IANA key, None if it is unknown on this machine."""
    if name in _unknown_zones or len(name) > _MAX_ZONE_NAME or not _ZONE_NAME.fullmatch(name):
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, IsADirectoryError, NotADirectoryError, PermissionError):
        if len(_unknown_zones) >= _MAX_UNKNOWN:
            _unknown_zones.clear()
        _unknown_zones.add(name)
        return None


# ---- decoding


def read_datetime(payload: bytes) -> datetime.datetime:
    """Decodes a datetime.

    ValueError if payload is not valid, OverflowError if it is out of range.
    """
    microseconds, fold, zone = _read_clock(payload)
    value: datetime.datetime = _EPOCH + microseconds * _MICROSECOND
    return value.replace(fold=fold, tzinfo=zone) if fold or zone is not None else value


def read_time(payload: bytes) -> datetime.time:
    """Decodes a time. ValueError if payload is not valid."""
    microseconds, fold, zone = _read_clock(payload)
    if not 0 <= microseconds < _DAY_MICROSECONDS:
        raise ValueError("a time of day of 24 hours or more")
    value: datetime.datetime = _EPOCH + microseconds * _MICROSECOND
    return value.time().replace(fold=fold, tzinfo=zone)


def read_date(payload: bytes) -> datetime.date:
    """Decodes a date. ValueError or struct.error if payload is not valid."""
    date: datetime.date = _date_of(*_DATE.unpack(payload))
    return date


def read_timedelta(payload: bytes) -> datetime.timedelta:
    """Decodes a timedelta. ValueError, OverflowError or struct.error if payload is not valid."""
    days, seconds, microseconds = _TIMEDELTA.unpack(payload)
    if seconds >= 86400 or microseconds >= 1_000_000:
        raise ValueError("a timedelta that is not in normal form")
    return datetime.timedelta(days, seconds, microseconds)


def _read_clock(payload: bytes) -> Tuple[int, int, Optional[datetime.tzinfo]]:
    """Decodes the microseconds, fold and zone of a datetime or time."""
    microseconds, flags = _CLOCK.unpack_from(payload)
    if not flags & _AWARE:
        if len(payload) != _CLOCK.size or flags > 1:
            raise ValueError("a datetime or time with extra bytes")
        return microseconds, flags, None
    if flags > _AWARE | 1:
        raise ValueError(f"a datetime or time with flags {flags:#x}")
    packed = payload[_CLOCK.size :]
    if packed == _UTC_PACKED:
        return microseconds, flags & 1, datetime.timezone.utc
    seconds, micros = _OFFSET.unpack_from(packed)
    if micros >= 1_000_000 or not -_DAY_MICROSECONDS < seconds * 1_000_000 + micros < _DAY_MICROSECONDS:
        raise ValueError("an offset from UTC of a day or more")
    offset = datetime.timedelta(seconds=seconds, microseconds=micros)
    return microseconds, flags & 1, _read_zone(offset, packed[_OFFSET.size :].decode())


def _read_zone(offset: datetime.timedelta, name: str) -> Optional[datetime.tzinfo]:
    """The zone of that name; the fixed offset if the name is unknown on this machine."""
    if name == _UTC:
        return datetime.timezone.utc
    if name.startswith("="):
        return datetime.timezone(offset, name[1:])
    if name and (zone := find_zone(_UTC if name == _ZONEINFO_UTC else name)) is not None:
        return zone
    return None if name and offset == _NO_OFFSET else datetime.timezone(offset)

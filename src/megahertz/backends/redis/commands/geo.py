"""Places: sorted sets whose scores are geohashes."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from megahertz.backends.redis.commands.words import Asks, Key, Value, flagged, number, text
from megahertz.errors import Misused

UNITS = ("m", "km", "mi", "ft")


class Geo(Asks):
    """GEOADD, GEOSEARCH and their kin."""

    def geoadd(
        self,
        name: Key,
        values: Sequence[Value],
        nx: bool = False,
        xx: bool = False,
        ch: bool = False,
    ) -> Awaitable[int]:
        """Adds longitude, latitude, place, and so on; gives how many are new (`ch`: or moved)."""
        if nx and xx:
            raise Misused("nx and xx exclude each other")
        if len(values) % 3:
            raise Misused("GEOADD takes longitude, latitude and place of each")
        return self._command(("GEOADD", name, *flagged(NX=nx, XX=xx, CH=ch), *values))

    def geodist(
        self, name: Key, place1: Value, place2: Value, unit: str | None = None
    ) -> Awaitable[float | None]:
        """How far two places are from each other, in metres or m, km, mi, ft."""
        tail = () if unit is None else (_unit(unit),)
        return self._command(("GEODIST", name, place1, place2, *tail), number, True)

    def geohash(self, name: Key, *values: Value) -> Awaitable[list[str | None]]:
        """Geohashes as of geohash.org."""
        return self._command(("GEOHASH", name, *values), _hashes, True)

    def geopos(self, name: Key, *values: Value) -> Awaitable[list[tuple[float, float] | None]]:
        """Longitudes and latitudes."""
        return self._command(("GEOPOS", name, *values), _points, True)

    def geosearch(
        self,
        name: Key,
        member: Value | None = None,
        longitude: float | None = None,
        latitude: float | None = None,
        unit: str = "m",
        radius: float | None = None,
        width: float | None = None,
        height: float | None = None,
        sort: str | None = None,
        count: int | None = None,
        any: bool = False,
        withcoord: bool = False,
        withdist: bool = False,
        withhash: bool = False,
    ) -> Awaitable[list[Any]]:
        """Places around a member or a point, within a radius or a box."""
        words = [
            *_around(member, longitude, latitude),
            *_within(unit, radius, width, height),
            *_ordered(sort, count, any),
            *flagged(WITHDIST=withdist, WITHCOORD=withcoord, WITHHASH=withhash),
        ]
        convert = _told(withdist, withhash, withcoord)
        return self._command(("GEOSEARCH", name, *words), convert, True)

    def geosearchstore(
        self,
        dest: Key,
        name: Key,
        member: Value | None = None,
        longitude: float | None = None,
        latitude: float | None = None,
        unit: str = "m",
        radius: float | None = None,
        width: float | None = None,
        height: float | None = None,
        sort: str | None = None,
        count: int | None = None,
        any: bool = False,
        storedist: bool = False,
    ) -> Awaitable[int]:
        """`geosearch`, kept, with distances in place of geohashes if so chosen."""
        words = [
            *_around(member, longitude, latitude),
            *_within(unit, radius, width, height),
            *_ordered(sort, count, any),
            *flagged(STOREDIST=storedist),
        ]
        return self._command(("GEOSEARCHSTORE", dest, name, *words))

    def georadius(
        self,
        name: Key,
        longitude: float,
        latitude: float,
        radius: float,
        unit: str | None = None,
        withdist: bool = False,
        withcoord: bool = False,
        withhash: bool = False,
        count: int | None = None,
        sort: str | None = None,
        store: Key | None = None,
        store_dist: Key | None = None,
        any: bool = False,
    ) -> Awaitable[Any]:
        """The older form of `geosearch`."""
        tail = (radius, unit, count, sort, store, store_dist, any)
        around = (name, longitude, latitude)
        return self._radius("GEORADIUS", around, tail, (withdist, withhash, withcoord))

    def georadiusbymember(
        self,
        name: Key,
        member: Value,
        radius: float,
        unit: str | None = None,
        withdist: bool = False,
        withcoord: bool = False,
        withhash: bool = False,
        count: int | None = None,
        sort: str | None = None,
        store: Key | None = None,
        store_dist: Key | None = None,
        any: bool = False,
    ) -> Awaitable[Any]:
        """The same around a member."""
        tail = (radius, unit, count, sort, store, store_dist, any)
        return self._radius(
            "GEORADIUSBYMEMBER", (name, member), tail, (withdist, withhash, withcoord)
        )

    def _radius(
        self,
        command: str,
        around: tuple[Any, ...],
        tail: tuple[Any, ...],
        told: tuple[bool, bool, bool],
    ) -> Awaitable[Any]:
        radius, unit, count, sort, store, store_dist, any_ = tail
        if store and store_dist:
            raise Misused("store and store_dist exclude each other")
        dist, hashes, coord = told
        words = [*around, radius, _unit(unit or "m")]
        words += flagged(WITHDIST=dist, WITHCOORD=coord, WITHHASH=hashes)
        words += _ordered(sort, count, any_, sorted_last=True)
        for name, key in (("STORE", store), ("STOREDIST", store_dist)):
            words += [name, key] if key else []
        convert = None if store or store_dist else _told(*told)
        return self._command((command, *words), convert)


def _unit(unit: str) -> str:
    if unit.lower() not in UNITS:
        raise Misused(f"a unit is one of {', '.join(UNITS)}")
    return unit


def _around(member: Value | None, longitude: float | None, latitude: float | None) -> list[Any]:
    point = [each for each in (longitude, latitude) if each is not None]
    if (member is None) == (len(point) < 2) or (member is not None and point):
        raise Misused("around a member, or a longitude and latitude")
    return ["FROMLONLAT", *point] if member is None else ["FROMMEMBER", member]


def _within(
    unit: str, radius: float | None, width: float | None, height: float | None
) -> list[Any]:
    box = [each for each in (width, height) if each is not None]
    if (radius is None) == (len(box) < 2) or (radius is not None and box):
        raise Misused("within a radius, or a width and height")
    measure = ["BYBOX", *box] if radius is None else ["BYRADIUS", radius]
    return [*measure, _unit(unit)]


def _ordered(
    sort: str | None, count: int | None, any_: bool, *, sorted_last: bool = False
) -> list[Any]:
    if sort is not None and sort.upper() not in ("ASC", "DESC"):
        raise Misused("sort is ASC or DESC")
    if any_ and count is None:
        raise Misused("any goes with a count")
    order = [] if sort is None else [sort]
    counted = [] if count is None else ["COUNT", count, *flagged(ANY=any_)]
    return [*counted, *order] if sorted_last else [*order, *counted]


def _point(pair: Any) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])


def _points(reply: Any) -> list[tuple[float, float] | None]:
    return [None if pair is None else _point(pair) for pair in reply]


def _hashes(reply: Any) -> list[str | None]:
    return [None if each is None else text(each) for each in reply]


def _told(dist: bool, hashes: bool, coord: bool) -> Callable[[Any], Any] | None:
    """Of each place what was asked for; nothing else makes lists of them."""
    kinds: list[Callable[[Any], Any]] = [lambda place: place]
    kinds += [kind for kind, on in ((float, dist), (int, hashes), (_point, coord)) if on]
    if len(kinds) == 1:
        return None

    def told(reply: Any) -> list[Any]:
        return [[kind(it) for kind, it in zip(kinds, row, strict=True)] for row in reply]

    return told

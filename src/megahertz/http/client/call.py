"""One request, as it is sent."""

from dataclasses import dataclass

from megahertz.http.client.content import Content
from megahertz.http.client.jar import CookieTypes
from megahertz.http.client.lines import Lines
from megahertz.http.client.location import Location


@dataclass(frozen=True, slots=True)
class Call:
    """A request.

    Attributes:
        method: in upper case.
        place: where it goes.
        fields: but for what goes with every request.
        content: its body.
        cookies: of this request alone.
        stranger: whether a redirect has led to another origin.
    """

    method: str
    place: Location
    fields: Lines
    content: Content
    cookies: CookieTypes | None = None
    stranger: bool = False

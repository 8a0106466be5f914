"""Which proxy leads to an origin: one that is told, or what the environment says.

HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY are read by Python's urllib, which knows that
HTTP_PROXY is a header of the client's in a CGI program (CVE-2016-1000110).
"""

from functools import lru_cache
from urllib.request import getproxies, proxy_bypass

from megahertz.engine import Origin, Proxy
from megahertz.http.client.location import locate


class Proxies:
    """Chooses by origin.

    Args:
        proxy: for every origin.
        trust_env: whether the environment is asked where there is none.
    """

    def __init__(self, proxy: str | None, *, trust_env: bool) -> None:
        self._all = None if proxy is None else _proxy(proxy)
        self._told = getproxies() if trust_env and proxy is None else {}
        self.some = self._all is not None or any(name != "no" for name in self._told)
        """Whether there is any."""

    def of(self, origin: Origin, *, named: bool = False) -> Proxy | None:
        """None: straight on.

        Args:
            named: it is an instance of a service: the environment does not say how to reach those.
        """
        if self._all is not None or named or not self.some:
            return self._all
        url = self._told.get(origin.scheme) or self._told.get("all")
        if not url or proxy_bypass(f"{origin.host}:{origin.port}", self._told):
            return None
        return _proxy(url if "://" in url else f"http://{url}")


@lru_cache(64)
def _proxy(url: str) -> Proxy:
    """Taken apart; LocalProtocolError where it is no http or https URL."""
    place = locate(url)
    origin = place.origin
    told = () if place.basic is None else (("proxy-authorization", place.basic),)
    return Proxy(origin.scheme, origin.host, origin.port, told)

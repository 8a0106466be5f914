"""Cookies that answers set and requests bring, by Python's `http.cookiejar`, as httpx does.

It knows domains, paths, expiry, Secure and the public names' dots; what it does not know is the
Public Suffix List, so a jar is for services that one trusts.
"""

import urllib.request
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from email.message import Message
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from typing import Any

CookieTypes = Mapping[str, str] | CookieJar


class Cookies(MutableMapping[str, str]):
    """Values by name; `set` says more.

    Args:
        cookies: to begin with.

    Attributes:
        jar: the standard library's.
    """

    def __init__(self, cookies: "CookieTypes | None" = None) -> None:
        # A cookie without a domain is its host's alone (RFC 6265 section 5.3, point 6).
        strict = DefaultCookiePolicy.DomainStrictNonDomain
        self.jar = CookieJar(DefaultCookiePolicy(strict_ns_domain=strict))
        self._add(cookies)

    def _add(self, cookies: "CookieTypes | None") -> None:
        if isinstance(cookies, Cookies):
            cookies = cookies.jar
        if isinstance(cookies, CookieJar):
            for cookie in cookies:
                self.jar.set_cookie(cookie)
        else:
            for name, value in (cookies or {}).items():
                self.set(name, value)

    def set(self, name: str, value: str, domain: str = "", path: str = "/") -> None:
        """One for a domain, or for any."""
        self.jar.set_cookie(
            Cookie(
                version=0,
                name=name,
                value=value,
                port=None,
                port_specified=False,
                domain=domain,
                domain_specified=True,
                domain_initial_dot=domain.startswith("."),
                path=path,
                path_specified=bool(path),
                secure=False,
                expires=None,
                discard=True,
                comment=None,
                comment_url=None,
                rest={"HttpOnly": ""},
            )
        )

    def over(self, cookies: "CookieTypes | None") -> "Cookies":
        """These, and on top of them those of one request."""
        if not cookies:
            return self
        found = Cookies(self)
        found._add(cookies)
        return found

    def sent_to(self, url: str, *, stranger: bool = False) -> str | None:
        """The field `cookie` of a request; None: it has none.

        Args:
            url: that is asked.
            stranger: a redirect has led there: what is for anybody is not for it.
        """
        jar = self
        if stranger:
            jar = Cookies()
            for cookie in self.jar:
                if cookie.domain:
                    jar.jar.set_cookie(cookie)
        request = urllib.request.Request(url)
        jar.jar.add_cookie_header(request)
        return request.get_header("Cookie")

    def read(self, url: str, fields: Iterable[tuple[str, str]]) -> None:
        """Takes what an answer sets."""
        answer: Any = _Answer(fields)
        self.jar.extract_cookies(answer, urllib.request.Request(url))

    def __getitem__(self, name: str) -> str:
        found = next((cookie.value for cookie in self.jar if cookie.name == name), None)
        if found is None:
            raise KeyError(name)
        return found

    def __setitem__(self, name: str, value: str) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        gone = [cookie for cookie in self.jar if cookie.name == name]
        if not gone:
            raise KeyError(name)
        for cookie in gone:
            self.jar.clear(cookie.domain, cookie.path, cookie.name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(cookie.name for cookie in self.jar))

    def __len__(self) -> int:
        return len({cookie.name for cookie in self.jar})

    def __repr__(self) -> str:
        return f"<Cookies {', '.join(self)}>"


class _Answer:
    """What a jar asks an answer for."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        self._message = Message()
        for name, value in fields:
            if name == "set-cookie":
                self._message[name] = value

    def info(self) -> Message:
        return self._message

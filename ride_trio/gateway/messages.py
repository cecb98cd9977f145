"""A request as the gateway's parts see it, and what it is answered with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

import h11

PLAIN_TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"
MAX_FIELDS: Final = 100
_BEARER: Final = "bearer "


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks.

    Attributes:
        path: without the query, unquoted.
        query: the first value of each name.
        headers: the values of each name (in lower case), joined by commas.
        body: None if it was too long.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = b""

    @classmethod
    def of(cls, head: h11.Request, body: bytes | None) -> Self:
        """What h11 has parsed.

        Raises:
            ValueError: its target makes no sense.
        """
        target = urlsplit(head.target.decode("latin-1"))
        query = parse_qs(target.query, keep_blank_values=True, max_num_fields=MAX_FIELDS)
        headers: dict[str, str] = {}
        for name, value in head.headers:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        first = {name: values[0] for name, values in query.items()}
        return cls(head.method.decode("latin-1"), unquote(target.path), first, headers, body)

    def header(self, name: str) -> str:
        """The value, empty if there is none."""
        return self.headers.get(name, "")

    @property
    def bearer(self) -> str:
        """The token of the header `authorization`; empty if there is none."""
        given = self.header("authorization")
        return given[len(_BEARER) :].strip() if given[: len(_BEARER)].lower() == _BEARER else ""

    def cookie(self, name: str) -> str:
        """The value of a cookie; empty if there is none."""
        try:
            morsel = SimpleCookie(self.header("cookie")).get(name)
        except CookieError:
            return ""
        return unquote(morsel.value) if morsel else ""

    @property
    def form(self) -> Mapping[str, str]:
        """The fields of a form that was posted: the first value of each."""
        try:
            fields = parse_qs((self.body or b"").decode("latin-1"), max_num_fields=MAX_FIELDS)
        except ValueError:
            return {}
        return {name: values[0] for name, values in fields.items()}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with."""

    status: HTTPStatus
    body: bytes
    content_type: str = PLAIN_TEXT
    extra: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, status: HTTPStatus, *extra: tuple[str, str]) -> Self:
        """A status, told in the words of the standard library."""
        return cls.refusal(status, f"{status.name}: {status.description}", *extra)

    @classmethod
    def refusal(cls, status: HTTPStatus, detail: str, *extra: tuple[str, str]) -> Self:
        """A status, and why, for a person: `CODE: words`, like every refusal of a session."""
        return cls(status, f"{detail}\n".encode(), extra=extra)

    @classmethod
    def json(cls, value: Any) -> Self:
        """A value as JSON, which nobody shall keep."""
        body = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        return cls(HTTPStatus.OK, body, JSON, (("cache-control", "no-store"),))

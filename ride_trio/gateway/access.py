"""Who may look at the city: the page, the API and the observers' feed.

With operators' tokens, whoever shows one: programs as a bearer token, browsers as a cookie that `POST /login` sets.
Without tokens, everybody if the gateway listens on loopback only, else nobody. In that open case a request's Host has
to be this machine as well, that of a page's WebSocket too: otherwise any site's page could reach us by giving its own
name our address.

Source: RFC 6750 (bearer tokens).
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlsplit

from ride_trio.gateway.messages import Answer, Request

COOKIE: Final = "ride_trio_operator"
LOGIN_PATH: Final = "/login"
LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
NO_TOKENS: Final = (
    "OPERATOR_TOKENS_NEEDED: who may look is not said: set OPERATOR_TOKENS to a file of tokens, or HTTP_LISTEN_ADDR to "
    "a loopback address"
)
NOT_LOCAL: Final = (
    "NOT_THIS_HOST: without OPERATOR_TOKENS this is for browsers on the same machine: use http://localhost"
)
LOGIN_NEEDED: Final = "LOGIN_NEEDED: send an operator's token as 'authorization: Bearer TOKEN', or go to /login"


class Access:
    """See the module's text.

    Args:
        operator: tells whose token it is, None if nobody's; None if there are no tokens.
        local: the gateway listens on loopback only.
        secure: it speaks TLS.
        origins: of other sites whose pages may connect.
    """

    def __init__(
        self,
        operator: Callable[[str], str | None] | None = None,
        *,
        local: bool = False,
        secure: bool = False,
        origins: frozenset[str] = frozenset(),
    ) -> None:
        self._operator = operator
        self._is_open = local and operator is None
        self._secure = secure
        self._origins = origins

    def objection(self, request: Request) -> Answer | None:
        """What somebody who may not look is answered; None if they may."""
        if self._operator is not None:
            shown = request.bearer or request.cookie(COOKIE)
            if shown and self._operator(shown) is not None:
                return None
            return Answer.refusal(HTTPStatus.UNAUTHORIZED, LOGIN_NEEDED, ("www-authenticate", "Bearer"))
        if not self._is_open:
            return Answer.refusal(HTTPStatus.FORBIDDEN, NO_TOKENS)
        return None if _host(request) in LOCAL_HOSTS else Answer.refusal(HTTPStatus.FORBIDDEN, NOT_LOCAL)

    def is_foreign(self, request: Request) -> bool:
        """Whether a page of another site asks, one that is not on the list. Programs send no origin."""
        origin = request.header("origin")
        if not origin or origin in self._origins:
            return False
        if self._is_open and _host(request) not in LOCAL_HOSTS:
            return True
        return origin.partition("://")[2] != request.header("host")

    def log_in(self, request: Request) -> Answer:
        """Answer the form of the login page: a cookie and the way to the page, or the way back."""
        token = request.form.get("token", "")
        if self.is_foreign(request):
            return Answer.refusal(HTTPStatus.FORBIDDEN, "FOREIGN_ORIGIN: the form is another site's")
        if self._operator is None or self._operator(token) is None:
            return _see_other(LOGIN_PATH + "#failed")
        secure = "; Secure" if self._secure else ""
        cookie = f"{COOKIE}={quote(token, safe='')}; Path=/; HttpOnly; SameSite=Strict{secure}"
        return _see_other("/", ("set-cookie", cookie))


def _host(request: Request) -> str:
    try:
        return urlsplit(f"//{request.header('host')}").hostname or ""
    except ValueError:
        return ""


def _see_other(path: str, *extra: tuple[str, str]) -> Answer:
    return Answer(HTTPStatus.SEE_OTHER, b"", extra=(("location", path), *extra))

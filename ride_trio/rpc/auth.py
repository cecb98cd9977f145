"""Who a call is from: bearer tokens, looked at by an interceptor before the handler begins.

    server = Server(7443, interceptors=[authenticated(JwtTokens(jwks=Path("keys.json"), audience="rides"))])

A token is a JWT, signed with a key that is in a file, or one of those that a file lists. Its subject is the call's
`subject`; a call that names a user, in the metadata `user-id`, has to be that user's.

Sources: RFC 6750 (bearer tokens), RFC 7519 (JWT), RFC 7517 (JWKS).
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import jwt
import purerpc

from ride_trio.rpc.interceptors import Proceed, ServerInterceptor

if TYPE_CHECKING:
    from ride_trio.rpc.call import Call

log = logging.getLogger(__name__)

USER_ID_METADATA: Final = "user-id"
# Load balancers ask for health, and have no token.
OPEN_TO_ALL: Final = ("/grpc.health.v1.Health/",)
# Clocks of two machines differ.
LEEWAY_S: Final = 30.0
# Of a token that was found valid nothing is computed a second time, until it expires; so many are remembered.
_REMEMBERED: Final = 10_000
_SCHEME: Final = "bearer "
_SYMMETRIC: Final = ("HS256", "HS384", "HS512")
_ASYMMETRIC: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
# RFC 7518, section 3.2: an HMAC key is at least as long as its hash.
_SHORTEST_SECRET_BYTES: Final = 32


# A key, and the algorithms it is good for.
_Key = tuple[Any, Sequence[str]]


class TokenError(Exception):
    """A token that is not accepted; the text says why, to its owner."""


class Tokens(Protocol):
    """Knows tokens."""

    def subject(self, token: str) -> str:
        """Whose token it is.

        Raises:
            TokenError: Nobody's.
        """


def authenticated(tokens: Tokens, open_to_all: Sequence[str] = OPEN_TO_ALL) -> ServerInterceptor:
    """Let only those calls through that have a valid token, and the user that it is for.

    Args:
        tokens: Knows them.
        open_to_all: Beginnings of the paths that need no token.
    """
    free = tuple(open_to_all)

    async def authenticate(call: Call[Any, Any], proceed: Proceed) -> None:
        if not call.head.path.startswith(free):
            call.subject = _subject(call, tokens)
        await proceed()

    return authenticate


def _subject(call: Call[Any, Any], tokens: Tokens) -> str:
    given = call.header("authorization")
    if given is None or given[: len(_SCHEME)].lower() != _SCHEME:
        raise purerpc.UnauthenticatedError("a token is needed: send it as metadata 'authorization: Bearer TOKEN'")
    try:
        subject = tokens.subject(given[len(_SCHEME) :].strip())
    except TokenError as error:
        log.info("a call of %s to %s is refused: %s", call.peer, call.head.path, error)
        raise purerpc.UnauthenticatedError(f"the token is not accepted: {error}") from None
    user = call.header(USER_ID_METADATA)
    if user is not None and user != subject:
        raise purerpc.UnauthenticatedError(f"the token is for {subject!r}, but the metadata 'user-id' says {user!r}")
    return subject


class _WatchedFile:
    """A file that is read again when it has changed. If it cannot be used then, what was read before stays."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = self._changed_at()
        self.use(path.read_bytes())

    def use(self, data: bytes) -> None:
        """Take what is in it.

        Raises:
            ValueError: It is not what it should be.
        """
        raise NotImplementedError

    def _changed_at(self) -> tuple[int, int]:
        stat = self.path.stat()
        return stat.st_mtime_ns, stat.st_ino

    def look(self) -> None:
        """Read it again if it has changed: a few microseconds if not, and it is small."""
        try:
            seen = self._changed_at()
            if seen == self._seen:
                return
            self._seen = seen
            self.use(self.path.read_bytes())
        except (OSError, ValueError) as error:
            log.error("%s cannot be used, what it said before still counts: %s", self.path, error)
        else:
            log.info("%s was read again", self.path)


class JwtTokens(_WatchedFile):
    """JSON web tokens with `sub` and `exp`.

    Args:
        key: File with a PEM public key, or else a shared secret for HS256 of at least 32 bytes.
        jwks: File with a JSON web key set, instead; a token names its key by `kid`.
        issuer: What `iss` has to be; None does not look.
        audience: What `aud` has to be or to have among others; None refuses tokens for a certain audience.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds no key.
    """

    def __init__(
        self,
        *,
        key: Path | None = None,
        jwks: Path | None = None,
        issuer: str | None = None,
        audience: str | None = None,
    ) -> None:
        if (key is None) == (jwks is None):
            raise ValueError("give either a key or a JWKS file")
        self._issuer = issuer
        self._audience = audience
        self._is_set = jwks is not None
        self._keys: dict[str | None, list[_Key]] = {}  # by kid
        self._known: dict[bytes, tuple[str, float]] = {}  # subject and expiry by token's digest
        super().__init__(key or jwks or Path())

    def use(self, data: bytes) -> None:
        self._keys = _keys_of_set(data) if self._is_set else {None: [_single_key(data)]}
        self._known.clear()

    def subject(self, token: str) -> str:
        self.look()
        digest = _digest(token)
        known = self._known.get(digest)
        if known is not None and time.time() < known[1]:
            return known[0]
        try:
            claims = self._claims(token)
            subject, expiry = claims["sub"], float(claims["exp"]) + LEEWAY_S
        except (jwt.PyJWTError, OverflowError) as error:
            raise TokenError(str(error)) from None
        if not subject:
            raise TokenError("it names nobody: its sub is empty")
        if len(self._known) >= _REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[digest] = subject, expiry
        return str(subject)

    def _claims(self, token: str) -> dict[str, Any]:
        """What it says, if it is signed with one of the keys that may be meant, and right in all else."""
        *others, last = self._keys_for(token)
        for key in others:
            with suppress(jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
                return self._decode(token, *key)
        return self._decode(token, *last)

    def _decode(self, token: str, key: Any, algorithms: Sequence[str]) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=list(algorithms),
            issuer=self._issuer,
            audience=self._audience,
            leeway=LEEWAY_S,
            options={"require": ["sub", "exp"]},
        )

    def _keys_for(self, token: str) -> list[_Key]:
        if not self._is_set:
            return self._keys[None]
        kid = jwt.get_unverified_header(token).get("kid")
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        if kid not in self._keys:
            raise TokenError(f"no key {kid!r} is known here")
        return self._keys[kid]


def _single_key(data: bytes) -> _Key:
    """A PEM key is never a secret: else who knows the public key could sign with it."""
    if b"-----BEGIN" in data:
        if b"PRIVATE KEY" in data:
            raise ValueError("it holds a private key: the server needs the public one only")
        try:
            jwt.get_algorithm_by_name("RS256").prepare_key(data)
        except (ValueError, TypeError, jwt.PyJWTError):  # no RSA key; then any other kind that PyJWT knows
            _check_elliptic(data)
        return data, _ASYMMETRIC
    secret = data.strip()
    _check_secret(secret)
    return secret, _SYMMETRIC


def _check_elliptic(data: bytes) -> None:
    for name in ("ES256", "EdDSA"):
        try:
            jwt.get_algorithm_by_name(name).prepare_key(data)
        except (ValueError, TypeError, jwt.PyJWTError):
            continue
        return
    raise ValueError("it holds no public key of the kinds RSA, EC and Ed25519")


def _keys_of_set(data: bytes) -> dict[str | None, list[_Key]]:
    try:
        keys = jwt.PyJWKSet.from_dict(json.loads(data)).keys
    except (jwt.PyJWTError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no JSON web key set: {error}") from None
    found: dict[str | None, list[_Key]] = {}
    for key in keys:
        if key.public_key_use in (None, "sig"):
            if isinstance(key.key, bytes):
                _check_secret(key.key)
            found.setdefault(key.key_id, []).append((key, (key.algorithm_name,)))
    if not found:
        raise ValueError("no JSON web key set: none of its keys is for signatures")
    return found


def _check_secret(secret: bytes) -> None:
    if len(secret) < _SHORTEST_SECRET_BYTES:
        raise ValueError(f"a secret of {len(secret)} bytes is too short: {_SHORTEST_SECRET_BYTES} or more are needed")


class ListedTokens(_WatchedFile):
    """Tokens that a file lists, one a line: the token, spaces, its subject. Lines that begin with # are skipped.

    Args:
        path: The file.

    Raises:
        OSError: The file cannot be read.
        ValueError: A line is not as above.
    """

    def __init__(self, path: Path) -> None:
        self._subjects: dict[bytes, str] = {}
        super().__init__(path)

    def use(self, data: bytes) -> None:
        subjects = {}
        for number, line in enumerate(data.decode().splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            words = line.split()
            if len(words) != 2:
                raise ValueError(f"line {number} should be a token and its subject, with spaces between")
            subjects[_digest(words[0])] = words[1]
        self._subjects = subjects

    def subject(self, token: str) -> str:
        self.look()
        # By digest: how long a look-up takes says nothing about the tokens that there are.
        subject = self._subjects.get(_digest(token))
        if subject is None:
            raise TokenError("it is not known here")
        return subject


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

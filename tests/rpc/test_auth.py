from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from pathlib import Path
from typing import Any

import jwt
import purerpc
import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from purerpc import Cardinality

from ride_trio.rpc.auth import JwtTokens, ListedTokens, TokenError, Tokens, authenticated
from tests.rpc.echo import connect, open_call, server_of, value

SECRET = "a secret that is long enough, is it?"
RSA = rsa.generate_private_key(65_537, 2_048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def pem(key: Any) -> bytes:
    public: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public


def token(key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **claims: Any) -> str:
    claims = {"sub": "ann", "exp": time.time() + 60, **claims}
    wanted = {name: claim for name, claim in claims.items() if claim is not None}
    return jwt.encode(wanted, key, algorithm, headers={"kid": kid} if kid else None)


def file(tmp_path: Path, data: bytes | str) -> Path:
    path = tmp_path / "file"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


# ---------------------------------------------------------------- JWT


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (RSA, "PS512"), (EC, "ES256"), (ED, "EdDSA")])
def test_public_keys(tmp_path: Path, key: Any, algorithm: str) -> None:
    tokens = JwtTokens(key=file(tmp_path, pem(key)))
    good = token(key, algorithm)
    assert tokens.subject(good) == "ann"
    assert tokens.subject(good) == "ann"
    with pytest.raises(TokenError, match="Signature verification failed"):
        tokens.subject(good[:-8] + "AAAAAAAA")


def test_a_public_key_is_no_secret(tmp_path: Path) -> None:
    """Who knows the public key must not be able to sign with it."""
    tokens = JwtTokens(key=file(tmp_path, pem(RSA)))
    claims = {"sub": "ann", "exp": time.time() + 60}
    head = jwt.utils.base64url_encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    signed = head + b"." + jwt.utils.base64url_encode(json.dumps(claims).encode())
    forged = signed + b"." + jwt.utils.base64url_encode(hmac.digest(pem(RSA), signed, hashlib.sha256))
    for text in (forged.decode(), token("", "none")):
        with pytest.raises(TokenError, match="alg value is not allowed"):
            tokens.subject(text)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": 1}, "expired"),
        ({"exp": None}, 'missing the "exp" claim'),
        ({"sub": None}, 'missing the "sub" claim'),
        ({"sub": ""}, "names nobody"),
        ({"exp": 10**400}, "too large"),
        ({"nbf": 2e9 * 2}, "not yet valid"),
        ({"iss": "nobody"}, "issuer"),
        ({"aud": "others"}, "Audience"),
        ({"aud": None}, 'missing the "aud" claim'),
    ],
)
def test_what_a_token_has_to_say(tmp_path: Path, claims: dict[str, Any], why: str) -> None:
    tokens = JwtTokens(key=file(tmp_path, SECRET), issuer="us", audience="rides")
    said = {"iss": "us", "aud": ["rides", "more"]}
    assert tokens.subject(token(**said)) == "ann"
    with pytest.raises(TokenError, match=why):
        tokens.subject(token(**(said | claims)))


def test_what_is_no_token(tmp_path: Path) -> None:
    tokens = JwtTokens(key=file(tmp_path, SECRET))
    for text in ("", "x", "a.b.c", token() + "x"):
        with pytest.raises(TokenError):
            tokens.subject(text)


def test_a_token_expires_although_it_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = JwtTokens(key=file(tmp_path, SECRET))
    late = token(exp=time.time() - 10)
    assert tokens.subject(late) == "ann"
    monkeypatch.setattr("ride_trio.rpc.auth.LEEWAY_S", 0.0)
    assert tokens.subject(late) == "ann"  # as it was remembered
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 21)
    with pytest.raises(TokenError, match="expired"):
        tokens.subject(late)


def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ride_trio.rpc.auth._REMEMBERED", 3)
    tokens = JwtTokens(key=file(tmp_path, SECRET))
    for number in range(10):
        assert tokens.subject(token(sub=str(number))) == str(number)
    assert len(tokens._known) == 3


def key_set(**keys: Any) -> str:
    rows = []
    for kid, key in keys.items():
        algorithm = jwt.get_algorithm_by_name("RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256")
        rows.append({**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"})
    return json.dumps({"keys": rows})


def test_key_sets_and_their_change(tmp_path: Path) -> None:
    path = file(tmp_path, key_set(one=RSA, two=EC))
    tokens = JwtTokens(jwks=path)
    assert tokens.subject(token(RSA, "RS256", "one")) == "ann"
    assert tokens.subject(token(EC, "ES256", "two")) == "ann"
    for wrong in (token(RSA, "RS256", "three"), token(RSA, "RS256")):
        with pytest.raises(TokenError, match="no key"):
            tokens.subject(wrong)
    path.write_text("{")
    os.utime(path, ns=(1, 1))
    assert tokens.subject(token(RSA, "RS256", "one")) == "ann"
    path.write_text(key_set(three=RSA))
    os.utime(path, ns=(2, 2))
    assert tokens.subject(token(RSA, "RS256", "three")) == "ann"
    assert tokens.subject(token(RSA, "RS256")) == "ann"
    with pytest.raises(TokenError):
        tokens.subject(token(EC, "ES256", "two"))


def test_a_key_set_whose_keys_have_no_ids(tmp_path: Path) -> None:
    other = rsa.generate_private_key(65_537, 2_048)
    rows = json.loads(key_set(one=RSA, two=EC, three=other))["keys"]
    for row in rows:
        del row["kid"]
    tokens = JwtTokens(jwks=file(tmp_path, json.dumps({"keys": rows})))
    for key, algorithm in ((RSA, "RS256"), (EC, "ES256"), (other, "RS256")):
        assert tokens.subject(token(key, algorithm)) == "ann"
    with pytest.raises(TokenError, match="Signature"):
        tokens.subject(token(rsa.generate_private_key(65_537, 2_048), "RS256"))
    with pytest.raises(TokenError, match="alg value is not allowed"):
        tokens.subject(token(SECRET, "HS256"))
    with pytest.raises(TokenError, match="no key 'one' is known"):
        tokens.subject(token(RSA, "RS256", "one"))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ('{"keys": [{"kty": "oct", "k": "c2hvcnQ"}]}', "5 bytes is too short"),
        ("[" * 100_000, "no JSON web key set"),
        ("[]", "no JSON web key set"),
        ('{"keys": []}', "no JSON web key set"),
        (key_set(one=RSA).replace('"sig"', '"enc"'), "for signatures"),
        ("{", "Expecting"),
    ],
)
def test_what_is_no_key_set(tmp_path: Path, data: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        JwtTokens(jwks=file(tmp_path, data))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("short", "too short"),
        (b"-----BEGIN PUBLIC KEY-----\nnothing\n-----END PUBLIC KEY-----", "no public key"),
        (b"-----BEGIN PRIVATE KEY-----", "private key"),
    ],
)
def test_what_is_no_key(tmp_path: Path, data: bytes | str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        JwtTokens(key=file(tmp_path, data))
    with pytest.raises(ValueError, match="no JSON web key set"):
        JwtTokens(jwks=file(tmp_path, '{"keys": 1}'))
    with pytest.raises(ValueError, match="either"):
        JwtTokens()


# ---------------------------------------------------------------- listed


def test_listed_tokens(tmp_path: Path) -> None:
    path = file(tmp_path, "# who\n\nt1 ann\nt2   dan\n")
    tokens = ListedTokens(path)
    assert (tokens.subject("t1"), tokens.subject("t2")) == ("ann", "dan")
    path.write_text("t1 ann dan")
    os.utime(path, ns=(1, 1))
    assert tokens.subject("t2") == "dan"
    path.write_text("t1 ann")
    os.utime(path, ns=(2, 2))
    with pytest.raises(TokenError, match="not known here"):
        tokens.subject("t2")
    with pytest.raises(ValueError, match="line 1 should be a token"):
        ListedTokens(file(tmp_path, "t1"))


# ---------------------------------------------------------------- calls


async def who(message: Any, request: Any) -> Any:
    return value((request.subject or "nobody").encode())


async def ask(nursery: trio.Nursery, tokens: Tokens, *metadata: tuple[str, str], method: str = "who") -> str:
    server = server_of("who", Cardinality.UNARY_UNARY, who, interceptors=[authenticated(tokens, ["/test.Echo/open"])])
    async with connect(nursery, server) as channel, open_call(channel, method, metadata=metadata) as call:
        await call.send(value(b""))
        await call.done_sending()
        answer = await call.receive()
        assert answer is not None
        return answer.value.decode()


async def test_a_call_has_its_subject(nursery: trio.Nursery, tmp_path: Path) -> None:
    tokens = ListedTokens(file(tmp_path, "t1 ann"))
    assert await ask(nursery, tokens, ("authorization", "Bearer t1")) == "ann"
    assert await ask(nursery, tokens, ("authorization", "bearer t1"), ("user-id", "ann")) == "ann"


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ((), "a token is needed"),
        ((("authorization", "Basic t1"),), "a token is needed"),
        ((("authorization", "Bearer t2"),), "not accepted: it is not known here"),
        ((("authorization", "Bearer t1"), ("user-id", "dan")), "for 'ann', but the metadata 'user-id' says 'dan'"),
    ],
)
async def test_calls_that_are_refused(
    nursery: trio.Nursery, tmp_path: Path, metadata: tuple[tuple[str, str], ...], why: str
) -> None:
    tokens = ListedTokens(file(tmp_path, "t1 ann"))
    with pytest.raises(purerpc.UnauthenticatedError, match=why):
        await ask(nursery, tokens, *metadata)


async def test_what_is_open_to_all(nursery: trio.Nursery, tmp_path: Path) -> None:
    async def echo(message: Any, request: Any) -> Any:
        return value((request.subject or "nobody").encode())

    tokens = ListedTokens(file(tmp_path, "t1 ann"))
    server = server_of("open", Cardinality.UNARY_UNARY, echo, interceptors=[authenticated(tokens, ["/test.Echo/open"])])
    async with connect(nursery, server) as channel, open_call(channel, "open") as call:
        await call.send(value(b""))
        await call.done_sending()
        assert await call.receive() == value(b"nobody")

"""The page's files, from memory."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ride_trio.gateway.messages import Answer, Request

FOLDER: Final = Path(__file__).parent / "page"
STATIC: Final = "/static/"
INDEX: Final = "index.html"
LOGIN: Final = "login.html"
CONTENT_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}


class PageFiles:
    """What is served below `/static/`, and the two documents.

    Args:
        tile_url: where the map's tiles are from; empty for none.
        folder: where the files are read from, once.
    """

    def __init__(self, tile_url: str = "", folder: Path = FOLDER) -> None:
        paths = [path for path in sorted(folder.rglob("*")) if path.suffix in CONTENT_TYPES]
        self._files = {path.relative_to(folder).as_posix(): _File(path) for path in paths}
        self._tiles = "{0.scheme}://{0.netloc}".format(urlsplit(tile_url)) if tile_url else ""

    def index(self, request: Request) -> Answer:
        """The page."""
        return self._answer(INDEX, request, self._policy("'none'"))

    def login(self, request: Request) -> Answer:
        """The page with the form for the token."""
        return self._answer(LOGIN, request, self._policy("'self'"))

    def static(self, request: Request) -> Answer:
        """The file that a path below `/static/` names."""
        return self._answer(request.path.removeprefix(STATIC), request)

    def _answer(self, name: str, request: Request, *extra: tuple[str, str]) -> Answer:
        file = self._files.get(name)
        if file is None:
            return Answer.of(HTTPStatus.NOT_FOUND)
        same = file.etag in request.header("if-none-match")
        status, body = (HTTPStatus.NOT_MODIFIED, b"") if same else (HTTPStatus.OK, file.body)
        fresh = (("etag", file.etag), ("cache-control", "no-cache"))
        return Answer(status, body, file.content_type, (*fresh, *extra))

    def _policy(self, form_action: str) -> tuple[str, str]:
        """The Content-Security-Policy of a document: nothing from anywhere else, but for the map's tiles."""
        images = f"'self' data: {self._tiles}".strip()
        return (
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; manifest-src 'self'; "
            f"img-src {images}; base-uri 'none'; frame-ancestors 'none'; form-action {form_action}",
        )


class _File:
    def __init__(self, path: Path) -> None:
        self.body = path.read_bytes()
        self.content_type = CONTENT_TYPES[path.suffix]
        self.etag = f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'

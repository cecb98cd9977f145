"""`/api/v1/...`: what the page shows beside the map, as JSON. Read-only, and bounded: lists have a `limit`."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from ride_trio.gateway.messages import Answer, Request

Report = Callable[[Request], Any]


class Api:
    """See the module's text.

    Args:
        reports: what to answer, by the path below `/api/v1/`; None is "there is no such thing". A path that ends with a
            slash stands for all below it.
    """

    def __init__(self, reports: dict[str, Report]) -> None:
        self._reports = reports

    def answer(self, path: str, request: Request) -> Answer:
        """Answer what is asked below `/api/v1/`."""
        report = self._reports.get(path) or self._reports.get(path.partition("/")[0] + "/")
        found = report(request) if report is not None else None
        return Answer.of(HTTPStatus.NOT_FOUND) if found is None else Answer.json(found)

"""HTTP: the page and its API for operators, health and metrics, and WebSockets for those without gRPC."""

from ride_trio.gateway.access import Access
from ride_trio.gateway.api import Api
from ride_trio.gateway.http import HttpServer
from ride_trio.gateway.page_files import PageFiles
from ride_trio.gateway.reports import Reports
from ride_trio.gateway.site import Probes, Site
from ride_trio.gateway.websockets import Keepalive, WebSockets

__all__ = ["Access", "Api", "HttpServer", "Keepalive", "PageFiles", "Probes", "Reports", "Site", "WebSockets"]

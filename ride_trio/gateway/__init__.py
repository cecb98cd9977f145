"""HTTP beside gRPC: what operators and orchestrators ask."""

from ride_trio.gateway.http import Gateway

__all__ = ["Gateway"]

"""The gRPC services: protobuf on one side, the domain on the other."""

from ride_trio.services.ride_context import RideCall, RideContext
from ride_trio.services.ride_journal import RideJournal
from ride_trio.services.ride_stream import RideStream
from ride_trio.services.rides import RideStreamService
from ride_trio.services.takhin import TakhinService

__all__ = ["RideCall", "RideContext", "RideJournal", "RideStream", "RideStreamService", "TakhinService"]

"""Matching: users and rides, the index of free drivers, and the loop that brings them together."""

from ride_trio.matching.dispatcher import Dispatcher, Notifier
from ride_trio.matching.loop import match_window, run_matching
from ride_trio.matching.state import Motion, Ride, User
from ride_trio.matching.states import RIDER_STATUSES, Phase, Status

__all__ = [
    "RIDER_STATUSES",
    "Dispatcher",
    "Motion",
    "Notifier",
    "Phase",
    "Ride",
    "Status",
    "User",
    "match_window",
    "run_matching",
]

"""The city as operators see it: where everybody is, and what has happened."""

from ride_trio.city.chronicle import Chronicle
from ride_trio.city.city import MAX_RATE_HZ, City
from ride_trio.city.observer import Change, Observer
from ride_trio.city.view import View

__all__ = ["MAX_RATE_HZ", "Change", "Chronicle", "City", "Observer", "View"]

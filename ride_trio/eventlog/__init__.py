"""The durable log: topics of partitions in segment files, group commit, offsets and consumer groups."""

from ride_trio.eventlog.log import EventLog, LogOptions

__all__ = ["EventLog", "LogOptions"]

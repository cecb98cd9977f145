"""The durable log: topics of partitions in segment files, group commit, offsets and consumer groups."""

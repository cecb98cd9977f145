"""The command `ride-trio`: thin commands over `ride_trio.app`, `ride_trio.config` and `ride_trio_loadgen`."""

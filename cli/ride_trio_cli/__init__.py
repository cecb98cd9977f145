"""The command `ride-trio`: thin commands over `ride_trio.app`, `config` and `rpc`, and over `ride_trio_loadgen`."""

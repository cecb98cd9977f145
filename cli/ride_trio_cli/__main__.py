"""`python -m ride_trio_cli` is `ride-trio`."""

from ride_trio_cli.main import app

app(prog_name="ride-trio")

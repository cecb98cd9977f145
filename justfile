# Tools come from .venv when it is there, else from PATH.
export PATH := justfile_directory() / ".venv/bin" + ":" + env("PATH")

# List the recipes.
default:
    @just --list

# Make .venv with everything that development needs.
setup:
    python3 -m venv .venv
    .venv/bin/pip install -q -e '.[dev]'

# Server and load together for some seconds, then a report.
demo *options:
    ride-trio demo {{ options }}

# Run the server in the foreground.
serve *options:
    ride-trio serve {{ options }}

# Load a running server: just load rides --target 127.0.0.1:7443
load *options:
    ride-trio load {{ options }}

# Run the tests.
test *options:
    pytest -q {{ options }}

# Everything that must hold beside the tests: format, lint, types, layers, generated code.
check: gen-check
    ruff format --check
    ruff check
    mypy
    pytest -q tests/test_layers.py

# Make ride_trio/pb/ from proto/.
gen:
    python proto/generate.py

# Is ride_trio/pb/ what proto/ generates?
gen-check:
    python proto/generate.py --check

# Compare and measure: just bench rpc
bench *options:
    ride-trio bench {{ options }}

# Make docs/screenshots/ anew from a running demo; needs Chromium.
screenshots:
    python -m tests.gateway.screenshots

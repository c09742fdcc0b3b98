"""`python -m nadows` is the same as `nadows`."""

from __future__ import annotations

from nadows.cli import main

main()

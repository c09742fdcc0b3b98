"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# The suite runs on busy machines, so no example has a deadline, and it must pass twice in a row, so the
# examples are the same every time. `HYPOTHESIS_PROFILE=explore` looks for new ones.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", deadline=None, max_examples=2000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

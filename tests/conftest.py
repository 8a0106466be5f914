"""Hypothesis: the same examples every time in CI, fresh and more of them by a setting."""

import os

from hypothesis import HealthCheck, settings

QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("fast", derandomize=True, deadline=None, suppress_health_check=QUIET)
settings.register_profile("slow", max_examples=5000, deadline=None, suppress_health_check=QUIET)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

"""What a client does, in numbers: how often, how long, and what went wrong.

`Metrics` records, `Report` is what it says at one moment, as data, as JSON or as a line for a log. The
Prometheus endpoint is `nadows.metrics.endpoint`, which is imported only by those who serve it.
"""

from nadows.metrics.record import Metrics
from nadows.metrics.report import QUANTILES, Report, Stage, StageSummary

__all__ = ["QUANTILES", "Metrics", "Report", "Stage", "StageSummary"]

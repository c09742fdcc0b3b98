"""Load tests whose numbers can be trusted: open loop, judged before they are believed.

One run is three processes. The *venue* answers; the *generator* (`worker`) sends on a schedule and hands
every sample over as it is; the *parent* (`engine`) merges, judges and reports. What decides is pure: the
scenario, the plan, the recorder, the histograms, the thresholds and the verdict read no clock and touch no
socket.

Source of the method: docs/benchmarks.md.
"""

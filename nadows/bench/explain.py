"""What a run's numbers mean, in sentences: the faults that were in it, and who could see them.

Works on a result as ``result.json`` holds it, so that old results are explained as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nadows.bench.quantities import show_ns

__all__ = ["explain"]


def explain(result: Mapping[str, Any]) -> list[str]:
    """Return sentences for a person, most important first."""
    return [*_stalls(result), *_cuts(result), *_closed(result)]


def _stalls(result: Mapping[str, Any]) -> Iterator[str]:
    load = result["run"]["scenario"]["load"]
    for fault in result["run"]["faults"]:
        if fault["kind"] != "stall":
            continue
        phase = _phase_at(result, fault["at_ns"])
        head = f"The venue stood still for {show_ns(fault['length_ns'])} at {fault['at_ns'] / 1e9:.1f} s."
        response = phase["ops"]["all"]["response"] if phase else {"p": {}}
        p99 = response["p"].get("99")
        value = "" if p99 is None else f" (p99 {show_ns(p99)})"
        if load["model"] == "closed":
            sent = phase["sent"] if phase else 0
            users, sent = load["users"], phase["sent"] if phase else 0
            yield (
                f"{head} The {users} users of this closed model were waiting and sent nothing meanwhile. So "
                f"{users} of {sent} requests saw it, and the percentiles hide it{value}: coordinated "
                "omission. The same run with an open model shows what everybody else would have waited."
            )
            continue
        due = round(phase["target_rps"] * fault["length_ns"] / 10**9) if phase else 0
        yield (
            f"{head} About {due} requests were due meanwhile, and each waited for what was left of it: the "
            f"response times say so{value}, because they count from the schedule. A closed loop would have "
            "sent one request per user and waited with the rest."
        )


def _cuts(result: Mapping[str, Any]) -> Iterator[str]:
    cuts = [fault for fault in result["run"]["faults"] if fault["kind"] == "disconnect"]
    if not cuts:
        return
    lost = sum(phase["drops"].get("not connected", 0) for phase in result["phases"])
    unknown = sum(phase["errors"].get("unknown", 0) for phase in result["phases"])
    connects = result["client"].get("gateway_connects", 0)
    yield (
        f"All sockets were cut {len(cuts)} times; the clients connected {connects} times to the gateway. "
        f"{lost} requests came due between two connections and could not be sent; {unknown} were under way "
        "and have no known outcome."
    )


def _closed(result: Mapping[str, Any]) -> Iterator[str]:
    load = result["run"]["scenario"]["load"]
    if load["model"] == "closed":
        yield (
            f"A closed model of {load['users']} users: each waits for its answer before it sends again, so "
            "the rate falls when the venue is slow, and slow moments are underrepresented."
        )


def _phase_at(result: Mapping[str, Any], at_ns: int) -> Mapping[str, Any] | None:
    end_ns = 0
    for phase in result["phases"]:
        end_ns += phase["duration_ns"]
        if at_ns < end_ns and phase["recorded"]:
            found: Mapping[str, Any] = phase
            return found
    return None

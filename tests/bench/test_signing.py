import io
import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from nadows.bench import signing, signing_peer
from nadows.bench.peer import PeerFailed, peer_process
from nadows.bench.signing import Result, Round, Spread, main, measure, render
from nadows.network import Network
from nadows.signing import SignedOrder, Signer, Subaccount, sign_order

# A peer that signs with our own code, and says what it is told to about its time.
PEER = """
from nadows.bench import signing_peer
from tests.bench.test_signing import OurOwn

def timed(make, nonces):
    frames = [make(nonce) for nonce in nonces]
    if spoil == "frame":
        frames[-1] = frames[-1].replace(b'"id":100', b'"id":101')
    return [cpu_ns] * len(frames), frames

class Spoiled(OurOwn):
    def digest(self, nonce):
        return super().digest(nonce + (spoil == "digest"))

signing_peer.timed = timed
signing_peer.serve(sys.stdin, sys.stdout, Spoiled)
"""


class OurOwn:
    """Our signing, as the peer's half asks for it."""

    def __init__(self, setup: dict[str, Any]) -> None:
        self._setup = setup
        self._domain = Network.local(1, chain_id=setup["chain_id"], endpoint=setup["endpoint"]).domain

    def frame(self, nonce: int) -> bytes:
        return self._order(nonce).frame

    def digest(self, nonce: int) -> str:
        return self._order(nonce).digest

    def _order(self, nonce: int) -> SignedOrder:
        order = self._setup["order"]
        return sign_order(
            Signer(self._setup["key"]),
            self._domain,
            self._setup["product_id"],
            Subaccount.parse(order["sender"]),
            order["priceX18"],
            order["amount"],
            order["expiration"],
            nonce,
            order["appendix"],
            id=self._setup["id"],
        )


def peer_script(folder: Path, cpu_ns: int, spoil: str = "") -> Path:
    """Write `PEER`, which takes so long for each order, and spoils a frame or a digest."""
    script = folder / "peer.py"
    root = Path(__file__).parent.parent.parent
    told = f"cpu_ns, spoil = {cpu_ns}, {spoil!r}"
    script.write_text(f"import sys\nsys.path.insert(0, {str(root)!r})\n{told}\n{PEER}")
    return script


def result(*rounds: Round) -> Result:
    return Result(
        ours_us=Spread.of([each.ours_ns / 1000 for each in rounds]),
        theirs_us=Spread.of([each.theirs_ns / 1000 for each in rounds]),
        ratio=Spread.of([each.ratio for each in rounds]),
        rounds=len(rounds),
        compared=7,
        demanded_ratio=30.0,
        versions={"nadows": {}, "sdk": {"nado-protocol": "2.0.0"}},
    )


async def test_measure_compares_every_order_of_the_peer(tmp_path: Path) -> None:
    """Rounds are taken in turns, and the ratio is of each round's own medians."""
    async with peer_process("ours", sys.executable, peer_script(tmp_path, 2_000_000_000)) as peer:
        measured = await measure(peer, rounds=3, orders=5, peer_orders=2)

    assert (3, 6) == (measured.rounds, measured.compared)
    assert Spread(2e6, 2e6, 2e6) == measured.theirs_us
    assert measured.ratio.max == pytest.approx(2e6 / measured.ours_us.min)
    assert measured.passed
    assert {"python", "nado-protocol", "eth-account", "coincurve"} == set(measured.versions["sdk"])


@pytest.mark.parametrize("spoil", ["frame", "digest"])
async def test_other_bytes_end_the_benchmark(tmp_path: Path, spoil: str) -> None:
    """A peer that signs something else is not compared for time."""
    async with peer_process("ours", sys.executable, peer_script(tmp_path, 1, spoil)) as peer:
        with pytest.raises(PeerFailed, match="the two differ"):
            await measure(peer, rounds=1, orders=1, peer_orders=2)


def test_median_decides() -> None:
    """A demand is reached by the median ratio, whatever a single round did."""
    assert result(Round(1, 29), Round(1, 30), Round(1, 90)).passed
    assert not result(Round(1, 29), Round(1, 29.9), Round(1, 90)).passed


def test_table() -> None:
    """The table names both sides, their medians and ranges, and the verdict."""
    text = render(result(Round(32_000, 3_200_000), Round(64_000, 640_000), Round(40_000, 4_000_000)))

    assert [
        "CPU time to build, sign and encode one place_order",
        "                            median   range over rounds",
        "nadows                     40.0 us   32.0 to 64.0 us",
        "nado-protocol 2.0.0      3200.0 us   640.0 to 4000.0 us",
        "times faster                 100.0   10.0 to 100.0",
        "3 rounds in turns; 7 orders equal in digest and signature",
        "demanded: 30 times faster; reached",
    ] == text.splitlines()
    assert "NOT REACHED" in render(result(Round(1, 2)))


@pytest.mark.parametrize(("cpu_ns", "code"), [(10**12, 0), (1, 1)])
def test_main_prints_a_table_and_json(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    cpu_ns: int,
    code: int,
) -> None:
    """People read stderr, programs stdout, and the exit code says whether the demand was reached."""
    monkeypatch.setattr(signing, "_PEER_SCRIPT", peer_script(tmp_path, cpu_ns))

    assert code == main(["--sdk-python", sys.executable, "--rounds", "2"])

    out, err = capfd.readouterr()
    assert (code == 0) is json.loads(out)["passed"]
    assert 2 == json.loads(out)["rounds"]
    assert "times faster" in err


def test_peer_that_cannot_be_started(capfd: pytest.CaptureFixture[str]) -> None:
    """A missing environment is a usage error that names the make target."""
    assert 2 == main(["--sdk-python", "no/such/python"])

    out, err = capfd.readouterr()
    assert "" == out
    assert "error: cannot start no/such/python: No such file or directory; make makes" in err


@pytest.mark.parametrize("rounds", ["0", "-1", "many"])
def test_rounds_refused(rounds: str) -> None:
    """At least one round is needed."""
    with pytest.raises(SystemExit) as ended:
        main(["--sdk-python", sys.executable, "--rounds", rounds])

    assert 2 == ended.value.code


def test_serve_answers_line_by_line() -> None:
    """The peer's half answers the set-up with versions and a round with an entry for each order."""
    out = io.StringIO()
    lines = [json.dumps(signing._setup()), json.dumps({"first_nonce": 5, "count": 3})]

    signing_peer.serve(lines, out, OurOwn)

    versions, answer = map(json.loads, out.getvalue().splitlines())
    assert {"versions": signing_peer.versions()} == versions
    ours = [signing._order(nonce) for nonce in (5, 6, 7)]
    assert [order.frame.decode() for order in ours] == answer["frames"]
    assert [order.digest for order in ours] == answer["digests"]
    assert 3 == len(answer["cpu_ns"])


def test_absent_library_is_named_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A result says which libraries were there and which were not, for coincurve alone changes the ratio."""

    def version(name: str) -> str:
        if name == "coincurve":
            raise metadata.PackageNotFoundError(name)
        return "1.2.3"

    monkeypatch.setattr(metadata, "version", version)

    assert {
        "python": sys.version.split()[0],
        "nado-protocol": "1.2.3",
        "eth-account": "1.2.3",
        "coincurve": "absent",
    } == signing_peer.versions()

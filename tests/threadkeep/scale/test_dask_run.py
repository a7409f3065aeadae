"""What is decided before and between the calls of a cluster: who has which key, and what is typed."""

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.api.endpoints import ApiSource, Auth
from threadkeep.api.keys import Key
from threadkeep.errors import AccessRefused, OutputUnusable, ThreadkeepError
from threadkeep.scale.cluster import Cluster
from threadkeep.scale.keys import KeyRing, keys_of
from threadkeep.scale.run_faults import _folded
from threadkeep.scale.run_report import _secrets_of
from threadkeep.scale.sealing import public_key, seal, unseal


def test_where_the_workers_are() -> None:
    """An address, or a number of processes."""
    assert Cluster.parse("local:4") == Cluster(processes=4)
    for text in ("tcp://127.0.0.1:8786", "tls://scheduler:8786", "tcp://[::1]:8786"):
        assert Cluster.parse(text) == Cluster(address=text)
    for text in (
        *("local", "local:", "local:0", "local:x", "local:٣", "local:1e3", "scheduler:8786", "", "x//y"),
        *("foo://h:1", "http://h:1", "inproc://x", "tcp://", "tcp://h", "tcp://h:x", "tcp://h:0", "tcp://h:65536"),
        "tcp://user:pw@h:1",
    ):
        with pytest.raises(ValueError, match="such as"):
            Cluster.parse(text)


@given(st.integers(1, 4), st.lists(st.sampled_from(["take", "give back", "refuse"]), max_size=20))
def test_no_key_has_two_workers(keys: int, steps: list[str]) -> None:
    """Whoever comes and goes; a refused key is given to nobody, and every other one that can be is."""
    ring, taken, refused = KeyRing([ApiSource()] * keys), list[int](), set[int]()
    for step in steps:
        if step == "take":
            number = ring.take()
            assert (number is None) is (len(taken) + len(refused) == keys)
            if number is not None:
                assert number not in taken
                assert number not in refused
                taken.append(number)
        elif taken:
            number = taken.pop(0)
            if step == "refuse":
                refused.add(number)
                ring.refuse(number)
            ring.give_back(number)
        assert ring.is_spent is (len(refused) == keys)


@given(st.text(max_size=100))
def test_what_is_sealed_is_for_one_process(secret: str) -> None:
    """It comes back as it was, is in no sealed bytes, and no two of these are the same."""
    source = ApiSource(base_url="https://api.test/v1", keys=(Key(f"sk-first-{secret}"),))
    sealed = seal(source, public_key())
    assert unseal(sealed) == source
    assert seal(source, public_key()) != sealed
    assert b"sk-first" not in sealed
    other = X25519PrivateKey.generate().public_key().public_bytes_raw()
    assert unseal(seal(source, other)) is None
    assert unseal(sealed[:-1] + bytes([sealed[-1] ^ 1])) is None


def test_nothing_is_left_to_the_environment_of_a_worker() -> None:
    """The address, its version, the header and the key are those of the command."""
    environ = {"OPENAI_BASE_URL": "https://user:pw@api.test/v1?tenant=secret", "OPENAI_API_KEY": "sk-env"}
    address, (source,) = keys_of(ApiSource(), environ)
    assert address == "https://api.test/v1"
    assert source.base_url == environ["OPENAI_BASE_URL"]
    assert (source.auth, source.keys) == (Auth.BEARER, (Key("sk-env"),))
    assert keys_of(ApiSource(token_command="print-token"), environ)[1][0].keys == ()
    two = keys_of(ApiSource(keys=(Key("a"), Key("b"))), environ)[1]
    assert [source.keys for source in two] == [(Key("a"),), (Key("b"),)]
    assert "sk-env" not in repr(source)
    with pytest.raises(AccessRefused):
        keys_of(ApiSource(), {})


def test_no_key_of_the_run_is_shown() -> None:
    """A worker hides its own key; what it quotes may hold that of another one, or the password of the address."""
    sources = [ApiSource(base_url="https://user:a-password@api.test/v1", keys=(Key(f"sk-{name}"),)) for name in "ab"]
    secrets = _secrets_of([attrs.evolve(one, keys=(Key(f"{one.keys[0].secret}-secret"),)) for one in sources])
    assert secrets.clean("sk-a-secret, sk-b-secret, a-password") == "[key], [key], [key]"


def test_many_faults_are_one_error() -> None:
    """What is said of several is said once, of many some are named, and the output decides the class."""
    assert _folded("shard", {}) is None
    many = {f"{number}": ThreadkeepError("no luck") for number in range(5)}
    assert str(_folded("shard", many)) == "shard 0, 1, 2 and 2 more: no luck"
    assert type(_folded("shard", many)) is ThreadkeepError
    many["5"] = OutputUnusable("the disk is full")
    assert str(_folded("worker", many)) == "worker 0, 1, 2 and 2 more: no luck; worker 5: the disk is full"
    assert type(_folded("worker", many)) is OutputUnusable

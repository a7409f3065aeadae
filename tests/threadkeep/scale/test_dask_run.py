"""What is decided before and between the calls of a cluster: who has which key, and what is typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.api.endpoints import ApiSource, Auth
from threadkeep.api.keys import Key
from threadkeep.errors import AccessRefused
from threadkeep.scale.dask_run import Cluster, _KeyRing, keys_of

WORKERS = st.lists(st.sampled_from("abcdef"), unique=True)


def test_where_the_workers_are() -> None:
    """An address, or a number of processes."""
    assert Cluster.parse("local:4") == Cluster(processes=4)
    assert Cluster.parse("tls://scheduler:8786") == Cluster(address="tls://scheduler:8786")
    for text in ("local", "local:", "local:0", "local:x", "scheduler:8786", ""):
        with pytest.raises(ValueError, match="such as"):
            Cluster.parse(text)


@given(st.integers(1, 4), st.lists(st.tuples(WORKERS, st.booleans()), max_size=10))
def test_no_key_has_two_workers(keys: int, steps: list[tuple[list[str], bool]]) -> None:
    """Whoever comes and goes; a refused key is given to nobody, and every other one that can be is."""
    ring, refused = _KeyRing([ApiSource()] * keys), set[int]()
    for workers, is_refused in steps:
        for worker in [*ring.given]:
            if worker not in workers:
                ring.take_back(worker)
        shared = list(ring.share(workers))
        assert dict(shared).items() <= ring.given.items()
        assert len({*ring.given.values()}) == len(ring.given) == min(len(workers), keys - len(refused))
        assert refused.isdisjoint(ring.given.values())
        if is_refused and ring.given:
            worker = next(iter(ring.given))
            refused.add(ring.given[worker])
            ring.retire(worker)
        assert ring.is_spent is (len(refused) == keys)
    ring.take_back("nobody")


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

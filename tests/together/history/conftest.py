"""Histories on real servers. The fixtures are here, since only these tests need the extra ``agents``."""

from collections.abc import Iterator

import pytest

from servers import PostgresqlServed, RedisServed, Served, postgresql, redis


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServed]:
    """A Redis for all tests."""
    with redis() as served:
        yield served


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServed]:
    """A PostgreSQL for all tests."""
    with postgresql() as served:
        yield served


@pytest.fixture(params=["redis_server", "postgresql_server"])
def server(request: pytest.FixtureRequest) -> Served:
    """Each of the servers."""
    served: Served = request.getfixturevalue(request.param)
    return served


@pytest.fixture
def url(server: Served) -> str:
    """An empty database there."""
    return server.emptied()

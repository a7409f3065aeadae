"""An export in shards with real parts: worker processes, moto as S3, and the fake over HTTP with a limit per key."""

import os
from collections.abc import Iterator
from pathlib import Path

import attrs
import boto3  # type: ignore[import-untyped]
import pytest
from moto.server import ThreadedMotoServer

from scaling import BUCKET, Limited, Run


@pytest.fixture
def fake() -> Limited:
    """A fake that limits each key, with an empty world."""
    return Limited()


@pytest.fixture
def base_url(fake: Limited) -> Iterator[str]:
    """The fake over HTTP."""
    with fake.serve() as server:
        yield server.base_url


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of an S3."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def run(base_url: str, tmp_path: Path) -> Run:
    """The commands, with a folder as the prefix."""
    environment = {**os.environ, "OPENAI_BASE_URL": base_url, "THREADKEEP_WORK": str(tmp_path / "work")}
    return Run(tmp_path, str(tmp_path / "prefix"), environment, tmp_path / "ids.txt")


@pytest.fixture(params=["folder", "s3"])
def either(request: pytest.FixtureRequest, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The commands, with a folder and with S3."""
    if request.param == "folder":
        return run
    given = {
        "AWS_ENDPOINT_URL": request.getfixturevalue("s3"),
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "a-secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=given["AWS_ENDPOINT_URL"])
    client.create_bucket(Bucket=BUCKET)
    prefix = f"s3://{BUCKET}/{run.folder.name}-{os.getpid()}"
    return attrs.evolve(run, prefix=prefix, environment={**run.environment, **given})

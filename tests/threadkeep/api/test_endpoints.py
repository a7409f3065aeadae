"""The provider of an address, and what is sent there: decided without a request."""

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.api.endpoints import (
    AZURE,
    AZURE_V1,
    ENGRAMIA,
    FOUNDRY,
    OPENAI,
    OTHER,
    Api,
    ApiSource,
    Auth,
    Provider,
    auth_and_keys,
    endpoint_for,
    endpoint_of,
    models_endpoint_of,
    without_secrets,
)
from threadkeep.api.keys import Key
from threadkeep.errors import AccessRefused, MalformedAddress

AT_AZURE = "https://res.openai.azure.com"
AT_COGNITIVE = "https://res.cognitiveservices.azure.com"
AT_FOUNDRY = "https://res.services.ai.azure.com/api/projects/mine"
DATED = {"api-version": "2024-05-01-preview"}


@pytest.mark.parametrize(
    ("typed", "kind", "address", "query"),
    [
        (None, OPENAI, "https://api.openai.com/v1", {}),
        ("https://api.openai.com/v1/", OPENAI, "https://api.openai.com/v1", {}),
        ("https://eu.api.openai.com/v1", OPENAI, "https://eu.api.openai.com/v1", {}),
        ("https://notapi.openai.com.example/v1", OTHER, "https://notapi.openai.com.example/v1", {}),
        ("http://127.0.0.1:8000/v1", OTHER, "http://127.0.0.1:8000/v1", {}),
        ("http://h/api/projects/fake", OTHER, "http://h/api/projects/fake", {}),
        (AT_AZURE, AZURE, f"{AT_AZURE}/openai", DATED),
        (f"{AT_AZURE}/", AZURE, f"{AT_AZURE}/openai", DATED),
        (f"{AT_AZURE}/openai/", AZURE, f"{AT_AZURE}/openai", DATED),
        (f"{AT_AZURE}/openai/v1/", AZURE_V1, f"{AT_AZURE}/openai/v1", {}),
        ("https://RES.OpenAI.Azure.com", AZURE, "https://RES.OpenAI.Azure.com/openai", DATED),
        (f"{AT_COGNITIVE}/openai", AZURE, f"{AT_COGNITIVE}/openai", DATED),
        ("https://res.services.ai.azure.com/openai", AZURE, "https://res.services.ai.azure.com/openai", DATED),
        (AT_FOUNDRY, FOUNDRY, AT_FOUNDRY, {"api-version": "v1"}),
        (f"{AT_FOUNDRY}/?api-version=2025-05-01", FOUNDRY, AT_FOUNDRY, {"api-version": "2025-05-01"}),
        ("https://h/v1?code=s3cret&b=", OTHER, "https://h/v1", {"code": "s3cret", "b": ""}),
        ("https://me:pw@h/v1#x", OTHER, "https://me:pw@h/v1", {}),
    ],
)
def test_the_address_decides_the_provider(typed: str | None, kind: Provider, address: str, query: Any) -> None:
    """By option or by environment, with the path and the query of the provider."""
    by_option = endpoint_of(ApiSource(base_url=typed), {})
    by_environment = endpoint_of(ApiSource(), {} if typed is None else {"OPENAI_BASE_URL": typed})
    assert by_option == by_environment
    assert by_option.provider is kind
    assert (by_option.base_url, by_option.query) == (address, query)


@pytest.mark.parametrize(
    ("base_url", "option", "variable", "version"),
    [
        (AT_AZURE, None, "2025-04-01-preview", "2025-04-01-preview"),
        (AT_AZURE, None, "", "2024-05-01-preview"),
        (AT_AZURE, "v9", "2025-04-01-preview", "v9"),
        (f"{AT_AZURE}?api-version=typed", None, "2025-04-01-preview", "typed"),
        (f"{AT_AZURE}?api-version=typed", "v9", "2025-04-01-preview", "v9"),
        (f"{AT_AZURE}/openai/v1", None, "2025-04-01-preview", None),
        (f"{AT_AZURE}/openai/v1", "preview", "2025-04-01-preview", "preview"),
        (AT_FOUNDRY, None, "2025-04-01-preview", "v1"),
        ("http://h/v1", None, "2025-04-01-preview", None),
        ("http://h/v1", "v1", "2025-04-01-preview", "v1"),
        (None, "v1", "2025-04-01-preview", "v1"),
    ],
)
def test_the_version_that_is_asked_for(
    base_url: str | None, option: str | None, variable: str, version: str | None
) -> None:
    """The option overrides the address, that the environment, if it applies, and that the default."""
    endpoint = endpoint_of(ApiSource(base_url=base_url, api_version=option), {"OPENAI_API_VERSION": variable})
    assert endpoint.query.get("api-version") == version


def test_blanks_round_an_address_are_none_of_it() -> None:
    """As they come along when it is copied."""
    assert endpoint_of(ApiSource(base_url=" http://h/v1\n"), {}).base_url == "http://h/v1"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.dictionaries(texts.filter(bool), texts, max_size=4), st.sampled_from([AT_AZURE, "http://me:pw@h:1/v1"]))
def test_no_query_is_lost_and_none_is_shown(query: dict[str, str], base_url: str) -> None:
    """The query of the base URL goes with every request, and is never shown."""
    typed = f"{base_url}?{urlencode(query)}"
    endpoint = endpoint_of(ApiSource(base_url=typed), {})
    assert {**endpoint.query, **query} == dict(endpoint.query)
    assert without_secrets(f"{typed}#x") == base_url.replace("me:pw@", "")
    assert "?" not in endpoint.base_url
    assert repr(endpoint) == repr(endpoint_of(ApiSource(base_url=base_url), {}))


def key(secret: str, auth: Auth) -> tuple[Auth, tuple[Key, ...]]:
    """Return the header and one key."""
    return auth, (Key(secret),)


BOTH = {"AZURE_OPENAI_API_KEY": "a", "OPENAI_API_KEY": "o"}
ALL = {**BOTH, "AZURE_OPENAI_AD_TOKEN": "t", "AZURE_AI_TOKEN": "f"}


@pytest.mark.parametrize(
    ("kind", "auth", "environ", "found"),
    [
        (AZURE, None, {"OPENAI_API_KEY": "o"}, key("o", Auth.API_KEY)),
        (AZURE, None, BOTH, key("a", Auth.API_KEY)),
        (AZURE, None, ALL, key("t", Auth.BEARER)),
        (AZURE, None, {**ALL, "AZURE_OPENAI_AD_TOKEN": ""}, key("a", Auth.API_KEY)),
        (AZURE, Auth.API_KEY, ALL, key("a", Auth.API_KEY)),
        (AZURE, Auth.BEARER, BOTH, key("a", Auth.BEARER)),
        (AZURE_V1, None, BOTH, key("a", Auth.API_KEY)),
        (FOUNDRY, None, ALL, key("f", Auth.BEARER)),
        (FOUNDRY, None, BOTH, key("o", Auth.BEARER)),
        (FOUNDRY, Auth.API_KEY, ALL, key("o", Auth.API_KEY)),
        (OTHER, None, ALL, key("o", Auth.BEARER)),
        (OTHER, Auth.API_KEY, ALL, key("o", Auth.API_KEY)),
        (OPENAI, None, ALL, key("o", Auth.BEARER)),
    ],
)
def test_the_key_of_the_environment(kind: Provider, auth: Auth | None, environ: Any, found: Any) -> None:
    """A token before a key, Azure's own before OpenAI's."""
    assert auth_and_keys(ApiSource(auth=auth), kind, environ) == found


@pytest.mark.parametrize(
    ("kind", "auth", "words"),
    [
        (AZURE, None, "AZURE_OPENAI_AD_TOKEN or AZURE_OPENAI_API_KEY or OPENAI_API_KEY"),
        (AZURE, Auth.API_KEY, "set AZURE_OPENAI_API_KEY or OPENAI_API_KEY"),
        (FOUNDRY, None, "AZURE_AI_TOKEN or OPENAI_API_KEY, or give --token-command"),
    ],
)
def test_without_a_key_the_error_names_the_variables(kind: Provider, auth: Auth | None, words: str) -> None:
    """The SDK would only name OpenAI's."""
    with pytest.raises(AccessRefused, match=words):
        auth_and_keys(ApiSource(auth=auth), kind, {})


def test_keys_of_a_file_come_in_its_order_and_go_before_the_environment() -> None:
    """Each in the header of the provider."""
    keys = (Key("a", project="p"), Key("b"))
    assert auth_and_keys(ApiSource(keys=keys), AZURE, ALL) == (Auth.API_KEY, keys)


def test_a_resource_is_no_project() -> None:
    """The address that Azure's portal shows first is not the one that has the threads."""
    with pytest.raises(MalformedAddress, match="/api/projects/NAME"):
        endpoint_of(ApiSource(base_url="https://res.services.ai.azure.com/"), {})


SHOWN = ["localhost:8000/v1", "ftp://here/v1", "http://", "http://[::1/v1", " ", "http://h:x/", "http://exa mple/v1"]
HIDDEN = ["ftp://me:secret@h/v1", "me:secret@h", "htp://h?code=secret", "http://[x#secret"]


@pytest.mark.parametrize("typed", [*SHOWN, *HIDDEN])
def test_an_address_that_is_none_is_shown_unless_it_may_hold_a_secret(typed: str) -> None:
    """A slip of the keyboard, by option or by environment."""
    shown = repr(typed.strip()) if typed in SHOWN else "the base URL (not shown: it may hold a secret)"
    words = f"{shown} is not an address: it must begin with http:// or https:// and name a host"
    for source, environ in ((ApiSource(base_url=typed), {}), (ApiSource(), {"OPENAI_BASE_URL": typed})):
        with pytest.raises(MalformedAddress, match=f"^{re.escape(words)}$"):
            endpoint_of(source, environ)


def test_an_empty_variable_counts_as_unset() -> None:
    """So Compose and Kubernetes leave it."""
    assert endpoint_of(ApiSource(), {"OPENAI_BASE_URL": ""}) == endpoint_of(ApiSource(), {})
    with pytest.raises(AccessRefused, match="no key: set OPENAI_API_KEY, or give --token-command or --keys-file"):
        auth_and_keys(ApiSource(), OTHER, {"OPENAI_API_KEY": ""})


def test_the_secrets_of_an_address() -> None:
    """Users and passwords, together too, and the values of the query; not the version."""
    endpoint = endpoint_of(ApiSource(base_url="https://user:p%40ss@h/v1?api-version=2024-05-01&code=a/b=c&x=1"), {})
    assert endpoint.secrets == ("user", "p@ss", "user:p@ss", "a/b=c", "1")


@pytest.mark.parametrize(
    ("typed", "version", "address", "query"),
    [
        (None, None, "https://api.openai.com/v1", {}),
        ("http://127.0.0.1:8000/v1?code=s3cret", None, "http://127.0.0.1:8000/v1", {"code": "s3cret"}),
        (AT_AZURE, None, f"{AT_AZURE}/openai/v1", {}),
        (f"{AT_AZURE}/openai/deployments/mine", "preview", f"{AT_AZURE}/openai/v1", {"api-version": "preview"}),
        (f"{AT_AZURE}/openai/v1/", None, f"{AT_AZURE}/openai/v1", {}),
        (AT_FOUNDRY, None, f"{AT_FOUNDRY}/openai/v1", {}),
        (f"{AT_FOUNDRY}/openai/v1", None, f"{AT_FOUNDRY}/openai/v1", {}),
    ],
)
def test_models_are_asked_by_the_v1_api(typed: str | None, version: str | None, address: str, query: Any) -> None:
    """Of Azure and Foundry, whose dated versions are those of other routes; the keys are those of the provider."""
    source = ApiSource(base_url=typed, api_version=version)
    endpoint = models_endpoint_of(source, {"OPENAI_API_VERSION": "2024-06-01"})
    assert (endpoint.base_url, endpoint.query) == (address, query)
    assert endpoint.provider.keys == endpoint_of(source, {}).provider.keys


@pytest.mark.parametrize(
    "given_url", ["http://host:8000", "http://host:8000/", "http://host:8000/v1", "http://host:8000/v1/"]
)
@pytest.mark.parametrize("is_typed", [True, False])
def test_engramia_has_its_own_variables_and_its_address_may_have_the_version(given_url: str, is_typed: bool) -> None:
    """Its own clients take the address without it. Nothing that is meant for OpenAI goes there."""
    environ = {"OPENAI_BASE_URL": "https://other.test/v1", "OPENAI_API_KEY": "sk-other", "OPENAI_API_VERSION": "v9"}
    environ |= {"ENGRAMIA_API_URL": "https://other.test" if is_typed else given_url, "ENGRAMIA_API_KEY": "key-one"}
    source = ApiSource(base_url=given_url if is_typed else None)
    endpoint = endpoint_for(Api.ENGRAMIA, source, environ)
    assert (endpoint.provider, endpoint.base_url, endpoint.query) == (ENGRAMIA, "http://host:8000/v1", {})
    assert auth_and_keys(source, endpoint.provider, environ) == (Auth.BEARER, (Key("key-one"),))


def test_without_its_address_engramia_is_not_asked() -> None:
    """It has no address of its own, and its key goes nowhere else."""
    with pytest.raises(MalformedAddress, match="ENGRAMIA_API_URL is not set"):
        endpoint_for(Api.ENGRAMIA, ApiSource(), {"OPENAI_BASE_URL": "https://other.test/v1"})

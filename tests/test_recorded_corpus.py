"""What is stored of a client, as the engine stores it for Rust services (`crates/jwtauth/tests/clients.rs`)."""

import json
from pathlib import Path

import pytest
from django.test import RequestFactory

from jwtauth.internal import devices
from tests.test_devices import without_ua_parser  # noqa: F401  fixture

VECTORS = json.loads((Path(__file__).parent.parent / "testdata/clients.json").read_text())


@pytest.mark.parametrize(("address", "network"), VECTORS["addresses"].items())
def test_truncated_address_is_the_network(address, network):
    request = RequestFactory().get("/", REMOTE_ADDR=address)
    assert devices.stored_ip_address(request, 0, "truncated") == network


@pytest.mark.parametrize(("header", "names"), VECTORS["user_agents"].items())
def test_truncated_user_agent_is_the_names_of_browser_and_system(without_ua_parser, header, names):  # noqa: F811
    request = RequestFactory().get("/", HTTP_USER_AGENT=header)
    assert devices.user_agent(request, "truncated") == names


@pytest.mark.parametrize(("header", "stored"), VECTORS["whole_user_agents"].items())
def test_whole_user_agent_is_its_printable_characters(header, stored):
    assert devices.user_agent(RequestFactory().get("/", HTTP_USER_AGENT=header), "full") == stored

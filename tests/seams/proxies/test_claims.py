"""How many bytes of claims fit through each proxy, as docs/guides/keys.md says."""

import asyncio
import re

import pytest

from tests.databases.served import ROOT
from tests.seams.proxies.claims import answers_with
from tests.seams.proxies.doors import DOORS, SMALL_BUFFER

((SMALL, LARGE),) = re.findall(
    r"up to (\d \d{3}) bytes of claims fit .*?; (\d \d{3}) do not", (ROOT / "docs/guides/keys.md").read_text(), re.S
)
DOCUMENTED = [door for door in DOORS if door.name in ("HTTP/1.1", "HTTP/2")]


def size(text):
    return int(text.replace(" ", ""))


def test_nginxs_default_buffer_fits_the_documented_claims_and_more_signs_no_user_out(behind):
    at = behind(SMALL_BUFFER).at(SMALL_BUFFER)
    assert asyncio.run(answers_with(*at, size(SMALL))) == (200, 200, 200)
    assert asyncio.run(answers_with(*at, size(LARGE))) == (502, 502, 200)


@pytest.mark.parametrize("door", DOCUMENTED, ids=lambda door: door.id)
def test_each_documented_proxy_passes_on_all_that_fits_a_cookie(door, behind):
    assert asyncio.run(answers_with(*behind(door).at(door), 2_650)) == (200, 200, 200)

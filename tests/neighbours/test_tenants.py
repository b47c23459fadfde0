"""django-tenants on PostgreSQL: each tenant has a schema with its users and their sessions."""

from importlib.util import find_spec

import pytest

from tests import tenants
from tests.databases.servers import PostgreSQL


@pytest.fixture
def databases():
    if not PostgreSQL.is_installed():
        pytest.skip("PostgreSQL or its driver is not installed; scripts/test.py says so at its end")
    with PostgreSQL() as server:
        server.create_database("tenants")
        yield {"default": server.settings("tenants") | {"ENGINE": "django_tenants.postgresql_backend"}}


@pytest.mark.skipif(find_spec("django_tenants") is None, reason="django-tenants is not installed")
def test_a_token_of_one_schema_is_refused_in_another(databases):
    # A refresh before the tenant's middleware looks in the schema of the previous request.
    tenants.assert_tokens_stay_with_their_tenant(tenants.tried("schema", databases), refreshes_after=False)

"""The test project for processes of their own, which are told their databases by the environment."""

from tests.settings import *  # noqa: F403
from tests.settings import MIDDLEWARE

# A session of Django's would be read from the database as well, and is not what is tested.
MIDDLEWARE = [path for path in MIDDLEWARE if not path.startswith("django.contrib.")]

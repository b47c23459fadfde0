"""Settings of the allauth site, for the cases about the end of its logins."""

from tests.neighbours.moved.allauth_settings import *  # noqa: F403

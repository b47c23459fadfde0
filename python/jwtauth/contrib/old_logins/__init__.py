"""Sources of ``JWTAUTH["ACCEPT_LOGINS_OF"]``: packages whose live logins move in.

Each module has a class ``Logins``. A project can write its own and name it by its dotted path.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from django.http import HttpRequest

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


class Place(Enum):
    """Say where a request showed a credential."""

    COOKIE = "cookie"
    """The browser sends it by itself, so the cross-origin table applies."""
    HEADER = "header"
    BODY = "body"
    """As the refresh token of `jwtauth.views.TokenRefreshView`."""


class Shown(NamedTuple):
    """Hold a credential that a request shows. It is not verified yet."""

    secret: str
    """The text that names the login. Only a digest of it is stored."""
    place: Place
    is_renewable: bool
    """Whether it may start a session: the other package would renew it, or issue new tokens for it."""
    name: str = ""
    """What names the login if the secret has several spellings, as a JWT has. Only for a signature that is verified,
    unless ``verify`` is called each time: if it is not renewable."""

    @property
    def login_name(self) -> str:
        """Return the text that names the login: the same for all spellings of the credential."""
        return self.name or self.secret

    def __repr__(self) -> str:
        return f"<Shown: in the {self.place.value}>"


class Login(NamedTuple):
    """Hold a login that the other package accepts."""

    user: AbstractBaseUser
    issued_at: int | None = None
    """When the credential was issued, in Unix seconds, or ``None`` if that is unknown."""
    expires_at: int | None = None
    """When the credential expires, in Unix seconds, or ``None`` if never."""
    slides: bool = False
    """Whether use extends the login, so that ``REFRESH_TOKEN_LIFETIME`` and ``SESSION_LIFETIME`` apply instead."""
    remember: bool = True
    """Whether the browser keeps the cookies when it is closed."""
    reference: str = ""
    """What `OldLogins.spend` needs. It is stored, so it must not be a secret."""
    auth: Any = None
    """The value of ``request.auth`` while the request is admitted by this credential."""
    backend: str = ""
    """The dotted path of the backend that authenticated the user, if it is known."""
    follows_password: bool = False
    """Whether the other package itself refuses the login once the user has a new password."""

    def __repr__(self) -> str:
        return f"<Login: user {self.user.pk}>"


class OldLogins(ABC):
    """Read the credentials of one other package, by its own rules and settings."""

    package: ClassVar[str] = ""
    """The module that must be importable, for the system check; empty if none is needed."""

    def cookie_domain(self) -> str | None:
        """Return the ``Domain`` of the other package's cookies. If it differs from jwtauth's, one may come alone."""
        return None

    def may_show(self, request: HttpRequest) -> bool:
        """Return whether the request may show a credential. Makes no query. Called for each request without tokens."""
        return bool(self.shown(request))

    @abstractmethod
    def shown(self, request: HttpRequest) -> Sequence[Shown]:
        """Return the credentials that the request shows in its header and cookies, renewable ones first."""

    def shown_as_refresh_token(self, text: str) -> Shown | None:
        """Return the credential if this text, sent as a refresh token, may be one. Makes no query."""
        return None

    @abstractmethod
    def verify(self, request: HttpRequest, shown: Shown) -> Login | None:
        """Return the login if the other package accepts the credential now, or ``None``."""

    def renew(self, request: HttpRequest, shown: Shown) -> dict[str, Any] | None:
        """Return the other package's answer to its refresh token, or ``None`` if it refuses it.

        Called before ``since``, while some workers do not know jwtauth's sessions.
        """
        return None

    def spend(self, reference: str, user_id: Any) -> None:  # noqa: B027 - most can do nothing
        """Make the other package refuse the credential, if it can. Does nothing if that has already happened."""

    def end(self, request: HttpRequest) -> None:  # noqa: B027 - most remember nothing
        """End what the other package itself remembers of this request, after its session has ended here."""

"""A bag of a user's own attributes: `app.state.pool`, `request.state.user`."""

from types import SimpleNamespace


class State(SimpleNamespace):
    """Attributes by any name; reading one that was never set raises AttributeError."""

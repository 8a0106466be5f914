"""Applications: routes, parameters, requests, responses."""

__all__: list[str] = []

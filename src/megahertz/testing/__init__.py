"""What tests of services need."""

__all__: list[str] = []

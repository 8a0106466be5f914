"""megahertz: async Python services at the cost of Go's."""

__all__: list[str] = []

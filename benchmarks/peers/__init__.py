"""The servers that are compared: each answers the same routes, in its own idiom."""

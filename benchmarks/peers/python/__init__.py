"""The Python peers' applications; `shop` holds what they share."""

"""Which content coding a client takes best (RFC 9110, 12.5.3)."""

from collections.abc import Sequence


def choose(accepted: str | None, offered: Sequence[str]) -> str | None:
    """The coding to use; None for none at all.

    Args:
        accepted: the value of Accept-Encoding.
        offered: the server's, the best first: the client's weights come before that order.
    """
    if not accepted or not offered:
        return None
    weights = _weights(accepted)
    anything = weights.get("*", 0.0)
    best = max(offered, key=lambda coding: weights.get(coding, anything))
    weight = weights.get(best, anything)
    # The identity is as good as anything unless it is named.
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else None


def _weights(accepted: str) -> dict[str, float]:
    found = {}
    for item in accepted.split(","):
        name, *parameters = item.split(";")
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip().lower() == "q":
                weight = _weight(value.strip())
        if name.strip():
            found[name.strip().lower()] = weight
    return found


def _weight(text: str) -> float:
    """0 to 1; what is no number counts for nothing."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value <= 1 else 0.0

"""JSON of what handlers return: msgspec, and pydantic models where somebody has them."""

from pathlib import PurePath
from typing import Any

import msgspec


def foreign(value: Any) -> Any:
    """What msgspec does not know: pydantic models (by their method, unimported) and paths."""
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(
        f"{type(value).__qualname__} is not JSON: return a dict, a Struct or a Response"
    )


encode = msgspec.json.Encoder(enc_hook=foreign).encode
"""`encode(value) -> bytes`."""

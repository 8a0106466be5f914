"""Python types as JSON Schema 2020-12, the dialect of OpenAPI 3.1, each named type once.

msgspec makes them; pydantic models make their own. A type that neither knows is any value.
"""

from typing import Any

import msgspec

from megahertz.http.convert import is_model

Schema = dict[str, Any]

TEMPLATE = "#/components/schemas/{name}"


class Schemas:
    """Collects types first, since names are given once all are known.

    Example:
        >>> schemas = Schemas([int])
        >>> schemas.of(int)
        {'type': 'integer'}
    """

    def __init__(self, kinds: list[Any]) -> None:
        self._foreign: dict[str, Schema] = {}
        self._known = [kind for kind in kinds if self._fits(kind)]
        made, self.components = msgspec.json.schema_components(
            self._known, ref_template=TEMPLATE, schema_hook=self._hook
        )
        self._made = list(made)
        self.components |= self._foreign

    def of(self, kind: Any) -> Schema:
        """The schema of one of the types."""
        for known, schema in zip(self._known, self._made, strict=True):
            if known is kind or known == kind:
                return dict(schema)
        return {}

    def _fits(self, kind: Any) -> bool:
        try:
            msgspec.json.schema_components([kind], schema_hook=self._hook)
        except (TypeError, NotImplementedError):
            return False
        return True

    def _hook(self, kind: Any) -> Schema:
        if not is_model(kind):
            return {}
        schema: Schema = kind.model_json_schema(ref_template=TEMPLATE.replace("name", "model"))
        self._foreign |= schema.pop("$defs", {})
        self._foreign[kind.__name__] = schema
        return {"$ref": TEMPLATE.format(name=kind.__name__)}


def plain(value: Any) -> Any:
    """A default as the document has it; None where JSON cannot say it."""
    try:
        return msgspec.to_builtins(value, builtin_types=())
    except (TypeError, ValueError):
        return None

"""Traffic that says what it is, so that a service's logs, metrics and tables can tell it apart.

`X-Trace-ID` is unique to a request, `X-Traffic-Tag` says what kind of traffic it is, `X-Env-Mode`
says what it is for: a shop may keep orders of a load test out of its books by it.
"""

from megahertz.load.template import Template

UNTAGGED = "untagged"


def colour(template: Template, env_mode: str) -> list[tuple[str, str]]:
    """The headers of a template of coloured traffic; one's own of these names stay."""
    own = {name.lower() for name, _ in template.headers}
    ours = (
        ("x-trace-id", "{uuid}"),
        ("x-traffic-tag", template.tag or UNTAGGED),
        ("x-env-mode", env_mode),
    )
    return [*template.headers, *((name, value) for name, value in ours if name not in own)]

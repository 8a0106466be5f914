"""A service that takes its time: 2 to 20 ms, evenly spread, the same for every generator."""

import asyncio
from random import Random

from megahertz import App, Policy

LOW, HIGH = 0.002, 0.020

app = App(policy=Policy.off())
_random = Random(1)


@app.get("/")
async def wait() -> dict[str, str]:
    """Answers late."""
    await asyncio.sleep(_random.uniform(LOW, HIGH))
    return {"msg": "ok"}

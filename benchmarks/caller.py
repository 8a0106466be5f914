"""One server's part in `benchmarks.redis_limits`: calls a limit far above its rate, and prints what
passed in each tenth of a second and when Redis was away."""

import asyncio
import json
import sys
import time
from collections import Counter

from megahertz.govern import GCRA, RedisScope

INSTANCES = 2
BURST = 10


async def call(url: str, rate: float, load: float, begin: float, seconds: float) -> None:
    """`load` calls a second from the moment `begin` on, whatever becomes of them."""
    passed: Counter[int] = Counter()
    absences: list[tuple[float, float]] = []
    slowest, made, since, running = 0.0, 0, None, set[asyncio.Task[None]]()
    scope = RedisScope(url, instances=INSTANCES)
    limit = GCRA(rate, burst=BURST, scope=scope, name="shared")

    async def decide() -> None:
        nonlocal slowest
        began = time.monotonic()
        admitted = await limit.decide() <= 0
        now = time.monotonic()
        slowest = max(slowest, now - began)
        passed[int((now - begin) * 10)] += admitted

    await asyncio.sleep(begin - time.monotonic())
    while (now := time.monotonic() - begin) < seconds:
        for _ in range(int(now * load) - made):
            task = asyncio.create_task(decide())
            running.add(task)
            task.add_done_callback(running.discard)
            made += 1
        away = scope.statistics().away
        if away and since is None:
            since = now
        elif not away and since is not None:
            absences.append((since, now))
            since = None
        await asyncio.sleep(0.001)
    await asyncio.gather(*running)
    await scope.aclose()
    if since is not None:
        absences.append((since, seconds))
    print(json.dumps({"passed": passed, "absences": absences, "made": made, "slowest": slowest}))


if __name__ == "__main__":
    asyncio.run(call(sys.argv[1], *map(float, sys.argv[2:])))

"""Hello with every protection on: deadline, a limit of the machine, shedding, breaker, bulkhead,
counters and histogram."""

from megahertz import GCRA, App, Breaker, Policy, Shed

EVERYTHING = Policy(
    deadline=1.0,
    shed=Shed(),
    limit=GCRA(1_000_000, per=1, burst=100_000),
    breaker=Breaker(),
    concurrency=10_000,
)

app = App(title="governed", policy=EVERYTHING)


@app.get("/")
async def hello() -> dict[str, str]:
    return {"msg": "ok"}

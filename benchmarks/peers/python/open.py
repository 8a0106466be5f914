"""Hello with no protection at all."""

from megahertz import App

app = App(title="open")


@app.get("/")
async def hello() -> dict[str, str]:
    return {"msg": "ok"}

"""megahertz in front of another server: by the engine, and piece by piece in Python."""

import os

from megahertz import App, Client, RelayResponse, StreamingResponse

origin = Client(os.environ.get("BENCH_ORIGIN", "http://127.0.0.1:1"), keep_cookies=False)
app = App(resources=[origin])


@app.get("/files/{name}")
async def engine(name: str) -> RelayResponse:
    return RelayResponse(await origin.stream("GET", f"/files/{name}"))


@app.get("/pieces/{name}")
async def pieces(name: str) -> StreamingResponse:
    answer = await origin.stream("GET", f"/files/{name}")
    fields = {"content-length": answer.headers["content-length"]}

    async def body():
        try:
            async for piece in answer.aiter_raw():
                yield piece
        finally:
            await answer.aclose()

    return StreamingResponse(body(), answer.status_code, fields)

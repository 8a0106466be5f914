"""Sockets that listen: what an idle one costs, and a broadcast to all of them."""

from megahertz import App, Rooms, WebSocket

rooms = Rooms()
app = App(resources=[rooms])


@app.get("/")
async def hello() -> str:
    """For who waits until it serves."""
    return "ok"


@app.get("/say/{size}")
async def say(size: int) -> int:
    """Broadcasts so many octets; gives how many sockets of this worker took them."""
    return await rooms["all"].broadcast(b"x" * size)


@app.socket("/all", backpressure="drop", compress=False)
class All:
    """In one room, and silent."""

    async def opened(self, websocket: WebSocket) -> None:
        """Joins."""
        await websocket.accept()
        rooms["all"].join(websocket)

    async def received(self, websocket: WebSocket, message: str | bytes) -> None:
        """Nobody says anything."""


@app.socket("/idle")
class Idle:
    """In no room."""

    async def received(self, websocket: WebSocket, message: str | bytes) -> None:
        """Nobody says anything."""

"""A chat in twenty lines: run it with `mhz run examples.chat:app --workers 2`."""

from megahertz import App, Rooms, WebSocket

rooms = Rooms()
app = App(title="chat", resources=[rooms])


@app.socket("/rooms/{room}", backpressure="drop")
class Chat:
    """One object serves every socket; what belongs to a socket is in its `state`."""

    async def opened(self, websocket: WebSocket, room: str, name: str = "somebody") -> None:
        await websocket.accept()
        websocket.state.name, websocket.state.room = name, rooms[room]
        rooms[room].join(websocket)
        await rooms[room].broadcast(f"{name} is here", skip=websocket)

    async def received(self, websocket: WebSocket, message: str | bytes) -> None:
        await websocket.state.room.broadcast(f"{websocket.state.name}: {message}")

    async def closed(self, websocket: WebSocket, code: int, reason: str) -> None:
        await websocket.state.room.broadcast(f"{websocket.state.name} has left")

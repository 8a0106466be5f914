"""Stand-ins for a collector, by HTTP and by gRPC, and two services whose trace they are told."""

import gzip
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc

from megahertz.observe import calling
from megahertz.testing import Client


@contextmanager
def over_http(path, take):
    """Gives `take` the body of whatever is posted to `path`; the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            body = gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body
            assert self.path == path
            take(body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_): ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def over_grpc(add, service, take, answer):
    """Gives `take` what `service`, which `add` adds to a server, is told; the address."""

    class Told(service):
        def Export(self, request, context):
            take(request)
            return answer()

    server = grpc.server(ThreadPoolExecutor(2))
    add(Told(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


@contextmanager
def chained(front, back):
    """Serves `GET /items/{sku}` by `front`, which asks `back` for `GET /stock/{sku}`; a client."""

    @back.get("/stock/{sku}")
    async def stock(sku: int) -> int:
        return sku

    with Client(back) as behind:

        @front.get("/items/{sku}")
        def item(sku: int) -> int:
            url, headers = f"http://127.0.0.1:{behind.port}/stock/{sku}", {}
            with calling("GET", url, headers):
                return behind.get(f"/stock/{sku}", headers=headers).json()

        with Client(front) as client:
            yield client

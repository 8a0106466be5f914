"""A service that says three things of each request, by the way of logging that LOGGED names."""

import atexit
import json
import logging
import logging.handlers
import os
import queue

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from megahertz import App
from megahertz.observe import Logger, Logs, Sampling, Tracing

WAY, FILE = os.environ.get("LOGGED", "off"), os.environ.get("LOGGED_FILE", os.devnull)

BATCH = 100
"""Records that the batched way writes together."""

log = logging.getLogger("shop")


class Lines(logging.Formatter):
    """The same JSON as ours, by the standard library."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {"time": record.created, "level": record.levelname, "logger": record.name}
        return json.dumps(fields | {"message": record.getMessage(), "sku": record.sku})


class Nowhere(SpanExporter):
    """A collector that takes everything at no cost."""

    def export(self, spans):
        return SpanExportResult.SUCCESS

    def shutdown(self):
        pass


def handler() -> logging.Handler:
    """Writes each record when it comes."""
    made = logging.FileHandler(FILE)
    made.setFormatter(Lines())
    return made


def layers() -> list[Logs | Tracing]:
    """What stands in front of the routes."""
    fd = os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    traces = {"traced": 0.01, "traced, all": 1.0}
    found = [Tracing(traces[WAY], exporter=Nowhere())] if WAY in traces else []
    if WAY == "ours, all":
        return [*found, Logs(Sampling.everything(), fd=fd)]
    return [*found, Logs(fd=fd)] if WAY.startswith(("ours", "traced")) else []


if WAY == "synchronous":
    log.addHandler(handler())
elif WAY == "batched":
    memory = logging.handlers.MemoryHandler(BATCH, logging.ERROR, handler())
    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(waiting, memory)
    listener.start()
    atexit.register(listener.stop)
    log.addHandler(logging.handlers.QueueHandler(waiting))

log.setLevel(logging.INFO if WAY != "off" else logging.CRITICAL)
log.propagate = not log.handlers
app = App(layers=layers())
ours = Logger("shop")


async def by_logging(sku: int) -> dict[str, int]:
    log.info("asked for %d", sku, extra={"sku": sku})
    log.info("found %d", sku, extra={"sku": sku})
    log.info("answered %d", sku, extra={"sku": sku})
    return {"sku": sku}


async def by_ours(sku: int) -> dict[str, int]:
    ours.info("asked", sku=sku)
    ours.info("found", sku=sku)
    ours.info("answered", sku=sku)
    return {"sku": sku}


app.get("/items/{sku}")(
    by_logging if WAY in ("off", "synchronous", "batched", "ours, by logging") else by_ours
)

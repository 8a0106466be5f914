"""Hello with all that observes: metrics, 1 % of traces, logs and an access log by share.

Spans are made ready for a collector, as OTLP over HTTP would, and thrown away: what a collector
costs is not ours. Lines go to /dev/null.
"""

import os
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from megahertz import App
from megahertz.observe import Logs, Tracing
from megahertz.observe.otlp_spans import request


class Encoded(SpanExporter):
    """What goes out, but for the socket."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        request(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


app = App(
    title="observed",
    metrics_url="/metrics",
    layers=[
        Tracing(float(os.environ.get("BENCH_SHARE", "0.01")), exporter=Encoded()),
        Logs(fd=os.open(os.devnull, os.O_WRONLY)),
    ],
)


@app.get("/")
async def hello() -> dict[str, str]:
    return {"msg": "ok"}

"""Spans to a collector by OTLP over HTTP; imported where that exporter is installed.

All but the encoding is the exporter's; where it has changed inside, that is its own again.
"""

from collections.abc import Sequence
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from megahertz.observe.otlp_spans import request

LARGEST: Final = 60 << 20
"""Octets of a request; beyond, the exporter has its own limit (64 MiB) and words."""


class SpanExporter(OTLPSpanExporter):
    """OTLP over HTTP, encoded by us."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends them; waits for the collector's answer, and repeats as OTLP says."""
        client: Any = getattr(self, "_client", None)
        if client is None or self._shutdown:
            return super().export(spans)
        data = request(spans)
        if len(data) > LARGEST:
            return super().export(spans)
        done = client.export(data).success
        return SpanExportResult.SUCCESS if done else SpanExportResult.FAILURE

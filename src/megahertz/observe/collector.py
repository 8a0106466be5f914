"""Exporters of OpenTelemetry by the address of a collector."""

from typing import Any, Literal

from megahertz.errors import BadSettings, Misused


def exporter_of(address: str, signal: Literal["traces", "metrics"], *, who: str) -> Any:
    """OTLP over HTTP for `http://host:4318`, over gRPC for `grpc://host:4317`, `grpcs://` with TLS.

    Args:
        address: of a collector.
        signal: what is sent there.
        who: wants it, for messages.

    Raises:
        BadSettings: it is no such address.
        Misused: the package that speaks it is not installed.
    """
    scheme, _, rest = address.partition("://")
    if not rest or scheme not in ("http", "https", "grpc", "grpcs"):
        raise BadSettings(
            f"{who}(exporter={address!r}): an address like http://127.0.0.1:4318 (OTLP over HTTP) "
            "or grpc://127.0.0.1:4317"
        )
    try:
        if scheme.startswith("http"):
            return _by_http(signal)(endpoint=f"{address.rstrip('/')}/v1/{signal}")
        return _by_grpc(signal)(endpoint=rest, insecure=scheme == "grpc")
    except ImportError as error:
        kind = "http" if scheme.startswith("http") else "grpc"
        raise missing(f"opentelemetry-exporter-otlp-proto-{kind}", who) from error


def _by_http(signal: str) -> Any:
    if signal == "traces":
        from megahertz.observe.otlp_http import SpanExporter

        return SpanExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter


def _by_grpc(signal: str) -> Any:
    if signal == "traces":
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter

        return trace_exporter.OTLPSpanExporter
    from opentelemetry.exporter.otlp.proto.grpc import metric_exporter

    return metric_exporter.OTLPMetricExporter


def missing(package: str, who: str) -> Misused:
    """An extra that is to be installed."""
    extra = "otel-grpc" if package.endswith("grpc") else "otel"
    return Misused(f"{who} needs {package}: pip install 'megahertz[{extra}]'")

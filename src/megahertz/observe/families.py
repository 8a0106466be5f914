"""What is told in metrics: every family by its name, and what it is called elsewhere.

Names are Prometheus's (prometheus.io/docs/practices/naming), all behind `megahertz_`, since a
program may tell `process_` and `python_` by prometheus-client as well. `otel` is the name that
OpenTelemetry's conventions have for the same thing (opentelemetry.io/docs/specs/semconv).
"""

from dataclasses import dataclass
from typing import Literal

PREFIX = "megahertz_"

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    Attributes:
        name: without the prefix; of a counter it ends in `_total`.
        told: one sentence.
        each: told of every worker by itself, with the label `worker`; otherwise their sum.
        otel: its name by OpenTelemetry's conventions; "" where they have none.
    """

    name: str
    told: str
    each: bool = False
    otel: str = ""
    histogram: bool = False

    @property
    def kind(self) -> Kind:
        """By its name."""
        if self.histogram:
            return "histogram"
        return "counter" if self.name.endswith("_total") else "gauge"

    @property
    def unit(self) -> str:
        """Of UCUM, as OpenTelemetry has it."""
        base = self.name.removesuffix("_total")
        return next((unit for end, unit in _UNITS if base.endswith(end)), "1")


_UNITS = (("_seconds", "s"), ("_bytes", "By"), ("_share", "1"))

ROUTES = (
    Family("requests_total", "Requests that ended, by the class of their status."),
    Family(
        "requests_running",
        "Requests that are being answered.",
        otel="http.server.active_requests",
    ),
    Family(
        "request_duration_seconds",
        "From the parsed request to its answer.",
        otel="http.server.request.duration",
        histogram=True,
    ),
    Family("slo_latency_seconds", "Within which the route's requests shall be answered."),
    Family("slo_fast_total", "Requests that were answered within that."),
    Family("refused_total", "Requests that a rule refused before their handler."),
    Family("observed_refusals_total", "Requests that a rule would have refused."),
)
"""Of each route."""

ENGINE = {
    "accepted": Family("connections_accepted_total", "Connections accepted."),
    "closed": Family("connections_closed_total", "Connections closed, by why."),
    "connections": Family("connections_open", "Connections that are open.", each=True),
    "full": Family("connections_turned_away_total", "Connections refused: there were too many."),
    "exhausted": Family("accept_pauses_total", "Times that file descriptors had run out."),
    "requests": Family("requests_received_total", "Requests that the engine has read."),
    "answers": Family("answers_total", "Answers that were written."),
    "refused": Family("engine_refusals_total", "Requests refused before any route, by why."),
    "parse": Family("parse_errors_total", "Bytes that make no request, by what is wrong."),
    "expired": Family("deadlines_expired_total", "Requests whose time was up."),
    "bytes_in": Family("received_bytes_total", "Bytes read from clients."),
    "bytes_out": Family("sent_bytes_total", "Bytes sent to clients."),
    "handshakes": Family("tls_handshakes_total", "TLS handshakes that went through."),
    "resumed": Family("tls_resumptions_total", "Those of them that took up a session."),
    "bad_tls": Family("tls_failures_total", "Connections whose TLS was none, or broken."),
    "sockets": Family("websockets_opened_total", "WebSockets opened."),
    "open_sockets": Family("websockets_open", "WebSockets that are open.", each=True),
    "messages": Family("websocket_messages_total", "Messages received on WebSockets."),
    "dropped": Family("websocket_dropped_total", "Messages dropped: their receiver was slow."),
    "faults": Family("websocket_faults_total", "WebSockets ended: the peer broke the protocol."),
}
"""Of the engine, by the names of rust/poll/src/statistics.rs; what is not here has a reason's."""

PARSE_ERRORS = ("malformed", "target_too_long", "head_too_large", "unsupported", "version")
"""Refusals whose bytes were no request; the other ones are told as refusals."""

WORKERS = (
    Family("loop_lag_seconds", "The longest that the loop was late in the last sample.", True),
    Family("loop_late_seconds_total", "How late the loop was, over all beats.", True),
    Family("loop_beats_total", "Beats of the loop that lateness is measured at.", True),
    Family("tasks", "asyncio tasks.", True),
    Family("threads", "Threads of the process.", True, "process.thread.count"),
    Family("resident_memory_bytes", "Memory that is resident.", True, "process.memory.usage"),
    Family("memory_limit_bytes", "What all workers of the machine or container may hold.", True),
    Family("open_files", "Open descriptors.", True, "process.open_file_descriptor.count"),
    Family("max_files", "Descriptors that may be open.", True),
    Family("cpu_seconds_total", "Processor time, of user and system.", True, "process.cpu.time"),
    Family("cpu_wait_seconds_total", "What the loop waited for a processor.", True),
    Family("gc_collections_total", "Collections, by generation.", True, "cpython.gc.collections"),
    Family("gc_pause_seconds_total", "Time that the collector took.", True),
    Family("gc_share", "Of the time of the last sample, what the collector took.", True),
    Family("gil_wait_seconds_total", "What a thread waited for the interpreter, at looks.", True),
    Family("gil_looks_total", "Looks at how long the interpreter is waited for.", True),
    Family("start_time_seconds", "When the worker began, since 1970.", True),
    Family("alarms_total", "Times that a figure went above its threshold.", True),
    Family("blocked_total", "Turns of the loop that were too long.", True),
    Family("leaks_total", "Kinds of objects that were found to only grow.", True),
    Family("workers", "Workers that live."),
    Family("worker_starts_total", "Workers that the supervisor has started."),
    Family("worker_failures_total", "Workers that ended without being asked to."),
)
"""Of the processes."""

PARTS = (
    Family("pool_threads", "Threads that the pool may have.", True),
    Family("pool_calls", "Calls that run in a pool, or wait for a thread.", True),
    Family("pool_refused_total", "Calls refused: the pool's queue was full.", True),
    Family("background_waiting", "Background tasks that are not done.", True),
    Family("background_failures_total", "Background tasks that raised.", True),
    Family("log_ring_records", "Log records that are to be written.", True),
    Family("log_records_total", "Log records that sampling kept, by level."),
    Family("log_dropped_total", "Log records dropped: the ring was full; by level."),
    Family("log_failed_total", "Log records that could not be written."),
    Family("journal_pending", "Records that are durable and not yet persisted.", True),
    Family("journal_durable_total", "Records acknowledged."),
    Family("journal_persisted_total", "Records that the sink has taken."),
    Family("journal_refused_total", "Records refused: the journal was full."),
    Family("journal_failures_total", "Batches that the sink has failed with."),
    Family("journal_dead_total", "Records given up after failures."),
    Family("journal_bytes", "Of the journal's files.", True),
    Family("redis_commands_total", "Commands sent by a shared connection."),
    Family("redis_waiting", "Commands whose reply is awaited.", True),
    Family("redis_held_bytes", "Of commands that wait.", True),
    Family("redis_expired_total", "Commands whose reply came too late."),
    Family("redis_refused_total", "Commands refused: too many waited."),
    Family("redis_connections", "Connections besides the shared one.", True),
    Family("redis_connects_total", "Times that the shared connection was made."),
    Family("client_calls_total", "Requests sent to other services, each try and redirect."),
    Family("client_failures_total", "Of these, those without an answer."),
    Family("client_running", "Requests to other services that wait for their answer.", True),
    Family("client_connections", "Connections to other services.", True),
    Family("client_connects_total", "Connections to other services that were opened."),
    Family("settings_applied_total", "Versions of settings that were applied."),
    Family("settings_refused_total", "Versions of settings that were bad, and not applied."),
    Family("settings_lost", "Settings whose centre cannot be had; the last version stays.", True),
    Family("settings_behind", "Versions that the slowest subscriber has not been told.", True),
    Family("registry_lists_total", "Lists of instances that registries told."),
    Family("registry_lost", "Services whose registry cannot be had; the last list stays.", True),
    Family("registrations", "Instances of ours that stand in a registry.", True),
    Family("registration_losses_total", "Times that an instance of ours was not in its registry."),
    Family("room_published_total", "Messages published to rooms."),
    Family("room_received_total", "Messages of rooms that came from other workers."),
    Family("room_lost_total", "Messages of rooms that were lost between workers."),
)
"""Of pools and queues, which tell of themselves (`sources.py`)."""

NAMED = {family.name: family for family in (*ENGINE.values(), *WORKERS, *PARTS)}
"""Whatever is no route's."""

ALL = (*ROUTES, *NAMED.values())

"""What goes with a call through everything it calls: its deadline, and why it was cancelled."""

from megahertz.context.budget import (
    BUDGET_HEADER,
    budget_headers,
    format_grpc_timeout,
    grpc_timeout,
    read_budget,
    read_grpc_timeout,
)
from megahertz.context.deadline import DEADLINE, EXPIRED, Deadline, deadline, lift_deadline
from megahertz.context.expiry import EXPIRY_HEADER, expiry, read_expiry
from megahertz.context.reason import CLOSED, GONE, cancel_reason

__all__ = [
    "BUDGET_HEADER",
    "CLOSED",
    "DEADLINE",
    "EXPIRED",
    "EXPIRY_HEADER",
    "GONE",
    "Deadline",
    "budget_headers",
    "cancel_reason",
    "deadline",
    "expiry",
    "format_grpc_timeout",
    "grpc_timeout",
    "lift_deadline",
    "read_budget",
    "read_expiry",
    "read_grpc_timeout",
]

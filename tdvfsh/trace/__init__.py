"""The journal: one typed record per boot-service call, accept and placement, in order, with what caused what.

Reports, replay, cost and explanations read nothing else.
"""

from tdvfsh.trace.fields import Value
from tdvfsh.trace.journal import Trace
from tdvfsh.trace.records import NO_PARENT, ServiceCall, TraceRecord

__all__ = ["NO_PARENT", "ServiceCall", "Trace", "TraceRecord", "Value"]

"""How requests come, from numbers, laws or a trace."""

from __future__ import annotations

from typing import Any

from hindmost.law import Constant, LawModel
from hindmost.queues.trace import Numbers, RequestTrace
from hindmost.scenario.serving import Routing
from hindmost.serving.job import Stream


def law_of(tokens: Any) -> LawModel:
    """Return the law of tokens that are a number or a law."""
    return tokens if isinstance(tokens, LawModel) else Constant(value=float(tokens))


def stream_of(
    input_tokens: Any,
    output_tokens: Any,
    *,
    variation: float = 1.0,
    trace: RequestTrace | None = None,
    routing: Routing = "least-loaded",
) -> Stream:
    """Return how requests come.

    Parameters
    ----------
    input_tokens, output_tokens
        Numbers or laws; those of a trace are its means.
    variation
        Coefficient of variation of the gaps between requests.
    trace
        Requests as they came.
    routing
        Which replica a request goes to.
    """
    if trace is not None:
        input_tokens = _mean(trace.input_tokens)
        output_tokens = _mean(trace.output_tokens)
    return Stream(
        input_tokens=law_of(input_tokens),
        output_tokens=law_of(output_tokens),
        variation=variation,
        trace=trace,
        routing=routing,
    )


def _mean(tokens: Numbers) -> float:
    return float(tokens.mean())

"""Three numbers of an engine with a model, from rows of one type of GPU; and what they predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hindmost.catalog.serving import Software
from hindmost.errors import Problem, ScenarioError
from hindmost.serving.cycle import Cycle, Rates, cycle, rates
from hindmost.serving.least_squares import not_negative
from hindmost.serving.rows import NoRow, Row, is_absent, number, row_of, tables

if TYPE_CHECKING:
    import polars as pl

Numbers = NDArray[np.float64]

MIN_FACTOR = 0.05
"""Least factor of a fit: one of rows that exchange explains alone."""
MEASURED = "output_tokens_per_s_per_gpu"
"""Column that is fitted."""
TTFT = "ttft_ms"
"""Column that shifts the time to the first token, where it is there."""
COLUMNS = (
    "output_tokens_per_s_per_gpu",
    "input_tokens_per_s_per_gpu",
    "tokens_per_s_per_user",
    "ttft_s",
    "tpot_s",
    "batch",
    "products",
    "exchange",
    "layers",
    "tokens",
    "prefill",
)
"""Numbers of a prediction; the last five are shares of a cycle."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """The numbers of one engine with one model.

    Attributes
    ----------
    engine, model : str
        Names; that of the model is the catalogue's.
    software : Software
        The numbers.
    n_rows : int
        Rows that they were fitted on.
    error : float
        Median of the absolute errors of these rows, as a share.
    """

    engine: str
    model: str
    software: Software
    n_rows: int
    error: float


@dataclass(frozen=True, kw_only=True)
class ServingFit:
    """What was fitted on rows of one type of GPU.

    Attributes
    ----------
    gpu : str
        The type.
    fits : tuple of Fitted
        One for each engine and model of which there are rows.
    left_out : tuple of (int, str)
        Rows of that GPU that could not be fitted: their places, and why.
    """

    gpu: str
    fits: tuple[Fitted, ...]
    left_out: tuple[tuple[int, str], ...]

    def software(self, engine: str, model: str) -> Software | None:
        """Return the numbers of an engine with a model, by the catalogue's name; or None."""
        for one in self.fits:
            if (one.engine, one.model) == (engine, model):
                return one.software
        return None

    def predict(self, rows: Any) -> pl.DataFrame:
        """Return what replicas like those of some rows give.

        Parameters
        ----------
        rows
            As in `fit_serving`; nothing that was measured is read.

        Returns
        -------
        DataFrame
            One row each, in the same order: output_tokens_per_s_per_gpu,
            input_tokens_per_s_per_gpu, tokens_per_s_per_user, ttft_s, tpot_s, batch, the shares
            products, exchange, layers and tokens of a cycle, which add up to 1, that of prefill in
            all of these, and reason: why there is no prediction, where all others are null.

        Raises
        ------
        ScenarioError
            If `rows` are no rows.
        """
        import polars as pl

        found = [self._predicted(table) for table in tables(rows)]
        schema = {**dict.fromkeys(COLUMNS, pl.Float64), "reason": pl.String}
        return pl.DataFrame(found, schema=schema)

    def _predicted(self, table: Any) -> dict[str, Any]:
        try:
            row = row_of(table)
            software = self.software(row.engine, row.model)
            if software is None:
                raise NoRow(f"no row of {self.gpu} has {row.engine} with {row.model}")
        except NoRow as reason:
            return {**dict.fromkeys(COLUMNS), "reason": str(reason)}
        found = rates(_cycle(row), row.load, software, asked=row.asked)
        return {**_numbers(found, row.batch), "reason": None}


def _numbers(found: Rates, batch: float) -> dict[str, float]:
    numbers = {
        name: float(getattr(found, name)[0])
        for name in COLUMNS
        if name not in found.shares and name != "batch"
    }
    return {**numbers, "batch": batch, **{key: float(one[0]) for key, one in found.shares.items()}}


def fit_serving(rows: Any, *, gpu: str) -> ServingFit:
    """Return what engines make of one type of GPU: three numbers for each model, from rows.

    Parameters
    ----------
    rows
        Measured points: a frame, or mappings from columns to values. Columns that are read: model,
        precision (of weights), gpu, engine, tensor, attention_dp, expert, n_gpus, isl and osl
        (tokens of a prompt and of an answer), concurrency (requests at once, or a text that begins
        with "all requests at once": as many as memory takes), output_tokens_per_s_per_gpu.
    gpu
        Only rows of this GPU are fitted.

    Returns
    -------
    ServingFit
        A factor on the seconds of products, seconds of each layer of a pass and seconds of each
        streamed token, for each engine and model.

    Raises
    ------
    ScenarioError
        If no row of that GPU can be fitted.

    Notes
    -----
    The squared relative errors of a cycle's seconds are least, with no number below 0. Of closed
    loops, rows name the greatest lengths: the mean is 0.9 of these.

    Examples
    --------
    >>> import hindmost as hm
    >>> row = dict(model="llama3-8b", precision="fp8", gpu="h200-sxm", engine="mine", tensor=1)
    >>> row |= dict(attention_dp=1, expert=1, n_gpus=1, isl=1000, osl=1000)
    >>> seen = "output_tokens_per_s_per_gpu"
    >>> rates = {8: 900.0, 32: 2800.0, 128: 7000.0}
    >>> rows = [{**row, "concurrency": n, seen: rate} for n, rate in rates.items()]
    >>> fit = hm.fit_serving(rows, gpu="h200-sxm")
    >>> fit.fits[0].n_rows, fit.fits[0].error < 0.05
    (3, True)
    >>> fit.predict([{**row, "gpu": "b200-sxm", "concurrency": 32}])["batch"].to_list()
    [32.0]
    """
    by_engine: dict[tuple[str, str], list[_Measured]] = {}
    left_out: list[tuple[int, str]] = []
    for place, table in enumerate(tables(rows)):
        if table.get("gpu") != gpu:
            continue
        try:
            one = _measured(table)
        except NoRow as reason:
            left_out.append((place, str(reason)))
            continue
        by_engine.setdefault((one.row.engine, one.row.model), []).append(one)
    if not by_engine:
        why = f"; the first of {len(left_out)} that cannot: {left_out[0][1]}" if left_out else ""
        requirement = f"must hold rows of {gpu} that can be fitted{why}"
        raise ScenarioError([Problem(path="rows", requirement=requirement)])
    return ServingFit(
        gpu=gpu,
        fits=tuple(_fitted(*names, found) for names, found in by_engine.items()),
        left_out=tuple(left_out),
    )


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """A row with what was measured.

    Attributes
    ----------
    row : Row
        The row.
    cycle_s : float
        Seconds in which each sequence of its batch is served once.
    ttft_s : float or None
        Seconds to the first token.
    """

    row: Row
    cycle_s: float
    ttft_s: float | None


def _measured(table: Any) -> _Measured:
    row = row_of(table)
    rate = number(table, MEASURED) * row.replica.n_gpus
    late_ms = None if is_absent(table.get(TTFT)) else number(table, TTFT)
    return _Measured(
        row=row,
        cycle_s=row.batch * row.load.output_tokens / rate,
        ttft_s=None if late_ms is None else late_ms / 1e3,
    )


def _fitted(engine: str, model: str, rows: Sequence[_Measured]) -> Fitted:
    cycles = [_cycle(one.row) for one in rows]
    measured_s = np.array([one.cycle_s for one in rows])
    # What each of the three numbers multiplies, and what none of them does.
    terms = np.array(
        [[of.products_s[0] + of.prompt_products_s[0], of.layers[0], of.tokens[0]] for of in cycles]
    )
    fixed = np.array([of.exchange_s[0] + of.prompt_exchange_s[0] for of in cycles])
    weighted, target = terms / measured_s[:, np.newaxis], 1 - fixed / measured_s
    found = not_negative(weighted, target, lowest=(MIN_FACTOR, 0.0, 0.0))
    errors = measured_s / (terms @ found + fixed) - 1
    factor, layer_s, token_s = map(float, found)
    software = Software(factor=factor, layer_s=layer_s, token_s=token_s)
    late_s = [
        one.ttft_s - float(rates(of, one.row.load, software, asked=one.row.asked).ttft_s[0])
        for one, of in zip(rows, cycles, strict=True)
        if one.ttft_s is not None
    ]
    if late_s:
        software = software.model_copy(update={"first_s": max(0.0, float(np.median(late_s)))})
    return Fitted(
        engine=engine,
        model=model,
        software=software,
        n_rows=len(rows),
        error=float(np.median(np.abs(errors))),
    )


def _cycle(row: Row) -> Cycle:
    return cycle(row.replica, row.load, np.array([row.batch]))

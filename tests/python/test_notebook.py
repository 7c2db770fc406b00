"""What values show in a notebook."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import hindmost as hm
from hindmost.analyses.forecast import forecast_beside
from hindmost.notebook import ROWS, Cells, shown

NAME = "<script>alert(1)</script> & more"
SIZE = {"seed": 1, "runs": 2, "steps": 10}


def text_of(html: str) -> str:
    """Return the texts of well-formed markup."""
    return " ".join(ElementTree.fromstring(f"<div>{html}</div>").itertext())


def test_results_scenarios_and_analyses_show_themselves() -> None:
    scenario = hm.load("h100-1k", {"name": NAME})
    result = hm.simulate(scenario, **SIZE)  # type: ignore[arg-type]
    result = replace(result, forecast=forecast_beside(result))
    compared = hm.compare(scenario, {"slow": {"pools.h100.software_efficiency": 0.5}}, **SIZE)  # type: ignore[arg-type]
    attributed = hm.attribute(scenario, **SIZE)  # type: ignore[arg-type]
    for value, said in (
        (scenario, ("h100-sxm", "1,024", "llama3-70b")),
        (result, ("2 runs of 10 steps", "forecast", "MFU", "p99", "slowest_frac")),
        (compared, ("slow", "step_time_s", "difference", "yes")),
        (attributed, ("exchange_inside", "shapley")),
    ):
        html = value._repr_html_()
        assert "<script" not in html
        text = text_of(html)
        assert NAME in text
        for part in said:
            assert part in text, (type(value), part)


def test_numbers_are_short_and_long_tables_are_cut() -> None:
    text = text_of(shown("t", Cells(["a", "b"], [[1 / 3, None], [True, 1234567]])))
    assert "0.33333" in text
    assert "yes" in text
    assert "1,234,567" in text
    many = text_of(shown("t", Cells(["a"], [[k] for k in range(ROWS + 7)])))
    assert "and 7 more" in many

"""Which fit an engine has for a model, or the nearest one that it has."""

from __future__ import annotations

from hindmost import catalog
from hindmost.catalog import Software, Transformer


def software_for(engine: str, name: str, model: Transformer) -> tuple[Software, str]:
    """Return the numbers of an engine with a model, and what is assumed in words, if anything.

    Parameters
    ----------
    engine
        An engine of the catalogue.
    name
        Name of the model, or of one of a scenario's own.
    model
        The model.

    Notes
    -----
    Without a fit of the model, that of the engine's most similar one: with experts or without, if
    there is such a one, and then nearest by the number of layers.
    """
    fits = catalog.engine(engine).fits
    name = catalog.ALIASES.get(name, name)
    if name in fits:
        return fits[name], ""

    def distance(other: str) -> tuple[bool, int]:
        found = catalog.model(other)
        is_like = (found.experts is None) == (model.experts is None)
        return not is_like, abs(found.n_layers - model.n_layers)

    nearest = min(fits, key=distance)
    return fits[nearest], f"software: {engine} was fitted with {nearest}, not with {name}"

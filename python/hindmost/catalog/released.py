"""Transformers from the ``config.json`` that models are released with.

Nothing of the code that may lie beside the weights is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hindmost.catalog.config_keys import ConfigKeys
from hindmost.catalog.families import FAMILIES, Table
from hindmost.errors import UNSET, Problem, ScenarioError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Released:
    """What a ``config.json`` says.

    Attributes
    ----------
    table : dict
        Fields of `Transformer`.
    left_out : tuple of str
        What the file has and the table has not, in words.
    """

    table: Table
    left_out: tuple[str, ...]


def released(config: Mapping[str, Any], source: str) -> Released:
    """Return what a released configuration says.

    Parameters
    ----------
    config
        The parsed file.
    source
        Its name in problems.

    Raises
    ------
    ScenarioError
        For a type of model that is not known, keys that are missing or of a wrong type, and keys
        that may change FLOPs and are not understood: all at once.
    """
    left_out = []
    for inner in ("text_config", "llm_config"):
        text = config.get(inner)
        if isinstance(text, Mapping):
            left_out = [
                f"{key}: only text is counted"
                for key in ("vision_config", "audio_config")
                if key in config
            ]
            shared = {key: config[key] for key in ("tie_word_embeddings",) if key in config}
            config = {**shared, "model_type": config.get("model_type"), **text}
    if "vision_config" in config:
        # Beside the keys of text, as older files have it.
        left_out.append("vision_config: only text is counted")
        config = {key: value for key, value in config.items() if key != "vision_config"}
    kind = config.get("model_type") or _type_of(config.get("architectures"))
    if kind is None:
        requirement = "is missing: this is no config.json of a model"
        raise ScenarioError([Problem(path="model_type", requirement=requirement, source=source)])
    if not isinstance(kind, str) or kind not in FAMILIES:
        requirement = f"must be one of {', '.join(sorted(FAMILIES))}"
        hint = did_you_mean(kind, FAMILIES) if isinstance(kind, str) else ""
        problem = Problem(
            path="model_type", requirement=requirement, value=kind, hint=hint, source=source
        )
        raise ScenarioError([problem])
    keys = ConfigKeys({**config, "model_type": kind})
    family = FAMILIES[kind]
    table = family(keys)
    for key in ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules"):
        n_mtp = keys.whole(key)
        if n_mtp:
            plural = "s" * (n_mtp != 1)
            left_out.append(
                f"{key}: {n_mtp} layer{plural} of multi-token prediction; "
                f"n_mtp_layers = {n_mtp} trains {'them' if plural else 'it'}"
            )
    keys.read.update(key for key in config if key.startswith("mtp_"))
    keys.refuse_others()
    if keys.problems:
        # Two parts of a model may ask for one key.
        found = {(path, requirement): value for path, requirement, value in keys.problems}
        raise ScenarioError(
            Problem(
                path=path,
                requirement=requirement,
                value=UNSET if value is None else value,
                source=source,
            )
            for (path, requirement), value in found.items()
        )
    return Released(table=table, left_out=tuple(left_out))


def _type_of(architectures: Any) -> str | None:
    """Return the type of model that the name of a class stands for, or that name."""
    if not (isinstance(architectures, list) and architectures):
        return None
    name = str(architectures[0])
    plain = name.removesuffix("ForCausalLM").removesuffix("ForConditionalGeneration").lower()
    return next((kind for kind in FAMILIES if kind.replace("_", "") == plain), name)

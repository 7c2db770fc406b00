"""What pydantic finds wrong with single fields, as problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from hindmost.errors import UNSET, Problem, did_you_mean
from hindmost.law import Law
from hindmost.scenario.models import Scenario

_TYPES = {
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "float_type": "must be a number",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "finite_number": "must be finite",
}

_BOUNDS = {
    "greater_than": ("gt", ">"),
    "greater_than_equal": ("ge", ">="),
    "less_than": ("lt", "<"),
    "less_than_equal": ("le", "<="),
}

_LAWS = {model.model_fields["name"].default: model for model in get_args(get_args(Law)[0])}


def field_problems(error: ValidationError) -> list[Problem]:
    """Return one problem for each thing that a validation found."""
    return [_problem(details) for details in error.errors(include_url=False)]


def _problem(details: Mapping[str, Any]) -> Problem:
    kind: str = details["type"]
    context: Mapping[str, Any] = details.get("ctx", {})
    value = details.get("input", UNSET)
    parts = _key_path(details["loc"])
    path = ".".join(parts)
    if kind == "missing":
        return Problem(path=path, requirement="is missing")
    if kind == "extra_forbidden":
        hint = did_you_mean(parts[-1], _keys_at(details["loc"][:-1]))
        return Problem(path=path, requirement="is not a known key", hint=hint)
    if kind == "not_there_yet":
        path = ".".join([*parts, context["field"]]).rstrip(".")
        return Problem(path=path, requirement="is not there yet", value=context["value"])
    if kind == "domain":
        path = ".".join([*parts, context["field"]])
        given = UNSET if context["value"] is None else context["value"]
        return Problem(path=path, requirement=f"must be {context['requirement']}", value=given)
    if kind == "catalog":
        hint = did_you_mean(context["value"], context["known"])
        requirement = f"must be one of the catalogue's {context['kind']}"
        return Problem(path=path, requirement=requirement, value=value, hint=hint)
    if kind in _BOUNDS:
        key, sign = _BOUNDS[kind]
        return Problem(path=path, requirement=f"must be {sign} {context[key]}", value=value)
    if kind == "literal_error":
        hint = did_you_mean(str(value), _expected(context["expected"]))
        requirement = f"must be {context['expected'].replace(chr(39), '')}"
        return Problem(path=path, requirement=requirement, value=value, hint=hint)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _law_problem(path, value)
    if kind == "string_pattern_mismatch":
        requirement = "must have a name of a-z, 0-9 and - only"
        return Problem(path=path, requirement=requirement, value=value)
    if kind in ("string_too_short", "string_too_long"):
        requirement = "must have 1 to 200 characters"
        return Problem(path=path, requirement=requirement, value=value)
    requirement = _TYPES.get(kind, f"is wrong: {details['msg']}")
    return Problem(path=path, requirement=requirement, value=value)


def _law_problem(path: str, value: Any) -> Problem:
    name = value.get("name") if isinstance(value, dict) else None
    if name is None:
        hint = f"there is {', '.join(_LAWS)}"
        return Problem(path=f"{path}.name", requirement="is missing", hint=hint)
    hint = did_you_mean(str(name), _LAWS)
    requirement = "must be the name of a law"
    return Problem(path=f"{path}.name", requirement=requirement, value=name, hint=hint)


def _expected(text: str) -> list[str]:
    return text.replace(" or ", ", ").replace("'", "").split(", ")


def _key_path(location: tuple[int | str, ...]) -> list[str]:
    """Return a location without what pydantic adds: law tags and dictionary keys."""
    parts: list[str] = []
    for index, part in enumerate(location):
        is_tag = part in _LAWS and index > 0 and location[index - 1] == "law"
        is_unknowns_tag = part in _LAWS and index == 2 and location[0] == "unknowns"
        if not (is_tag or is_unknowns_tag or part == "[key]"):
            parts.append(str(part))
    return parts


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the table at a location can have."""
    model: Any = Scenario
    for part in location:
        if part in _LAWS:
            model = _LAWS[str(part)]
        elif isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(str(part))
            model = field.annotation if field else None
        else:
            # A dictionary's entry: its values are of the last of its types.
            model = (get_args(model) or (None,))[-1]
        while not isinstance(model, type) and get_args(model) and model is not None:
            candidates = [arg for arg in get_args(model) if _is_model(arg)]
            if not candidates:
                break
            model = candidates[0]
    return list(model.model_fields) if _is_model(model) else []


def _is_model(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)

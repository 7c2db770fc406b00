"""Problems of single fields, from the errors that pydantic finds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from hindmost.cause import PhaseSteps
from hindmost.errors import UNSET, Problem, Verbatim, did_you_mean
from hindmost.law import Law, PositiveOrLaw
from hindmost.scenario.models import Scenario
from hindmost.scenario.numbering import DIMENSIONS
from hindmost.scenario.reliability import FailureLaw, RepairHours
from hindmost.scenario.serving import Tokens

_TYPES = {
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "float_type": "must be a number",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "finite_number": "must be finite",
}

_TABLE = _TYPES["model_type"]
_NAME = "must have a name of a-z, 0-9 and - only"

_OTHER_NAMES = {
    ("layout.sharding", "fsdp"): '"zero3" shards over all replicas as FSDP does, "hybrid" within '
    "groups of shard_group_replicas",
    ("layout.sharding", "hsdp"): '"hybrid" shards within groups of shard_group_replicas',
    ("layout.sharding", "ddp"): '"none" keeps all states on each GPU, as DDP does',
}
"""What values are called here that have other names elsewhere, by key path and lower-case name."""

_OTHER_KEYS = {
    (FailureLaw, "mean"): "the mean is 1 / per_hour",
    (FailureLaw, "scale"): "the mean is 1 / per_hour",
}
"""What is said elsewhere of keys that tables do not have, by table and key."""

_BOUNDS = {
    "greater_than": ("gt", ">"),
    "greater_than_equal": ("ge", ">="),
    "less_than": ("lt", "<"),
    "less_than_equal": ("le", "<="),
}

_ANY_LAW = get_args(Law)[0]
_NUMBER_OR_LAW = {
    "must be a whole number, or a law": get_args(PhaseSteps)[0],
    "must be a number of hours >= 0, or a law": get_args(RepairHours)[0],
    "must be a number of tokens >= 1, or a law": get_args(Tokens)[0],
    "must be a number > 0, or a law": get_args(PositiveOrLaw)[0],
}
"""Types of values that may be a number or a law, by what is required of a value."""
_LAWS = {model.model_fields["name"].default: model for model in get_args(_ANY_LAW)}


def field_problems(error: ValidationError, root: type[BaseModel] = Scenario) -> list[Problem]:
    """Return one problem for each error that a validation of a table found: of a scenario's."""
    found = [_problem(details, root) for details in error.errors(include_url=False)]
    # What an entry would have if there were the one that it extends is not missing.
    without_base = [
        problem.path.removesuffix("extends")
        for problem in found
        if problem.path.endswith(".extends")
    ]
    # A key that was meant for an entry, and not to be the name of one.
    no_entries = {problem.path for problem in found if problem.requirement == _TABLE}
    return [
        problem
        for problem in found
        if not (
            (problem.requirement == "is missing" and problem.path.startswith(tuple(without_base)))
            or (problem.requirement == _NAME and problem.path in no_entries)
        )
    ]


def _problem(details: Mapping[str, Any], root: type[BaseModel]) -> Problem:
    kind: str = details["type"]
    context: Mapping[str, Any] = details.get("ctx", {})
    value = details.get("input", UNSET)
    location = details["loc"]
    if kind == "string_pattern_mismatch" and location[-1] == "[key]":
        location = location[:-1]
    parts, table, number_or_law = _walk(location, root)
    path = ".".join(parts)
    if number_or_law is not None and kind in _TYPES:
        return Problem(path=path, requirement=number_or_law, value=value)
    if kind == "missing":
        return Problem(path=path, requirement="is missing")
    if kind == "extra_forbidden":
        hint = _OTHER_KEYS.get((table, parts[-1])) or did_you_mean(parts[-1], _keys(table))
        return Problem(path=path, requirement="is not a known key", hint=hint)
    if kind == "domain":
        path = ".".join([*parts, context["field"]])
        given = UNSET if context["value"] is None else context["value"]
        return Problem(path=path, requirement=f"must be {context['requirement']}", value=given)
    if kind == "order":
        requirement = f"must name {', '.join(DIMENSIONS)} once each, joined by hyphens"
        hint = "tp-cp-ep-dp-pp is Megatron's, innermost first"
        return Problem(path=path, requirement=requirement, value=value, hint=hint)
    if kind == "units":
        requirement = (
            "must be a list of whole numbers >= 0, such as [17], or a table of first and last"
        )
        return Problem(path=path, requirement=requirement, value=value)
    if kind == "interval":
        requirement = 'must be a number of seconds > 0, or "best"'
        return Problem(path=path, requirement=requirement, value=value)
    if kind == "catalog":
        hint = _catalogue_hint(str(context["value"]), context["known"])
        requirement = f"must be one of the catalogue's {context['kind']}"
        return Problem(path=path, requirement=requirement, value=value, hint=hint)
    if kind in _BOUNDS:
        key, sign = _BOUNDS[kind]
        bound = context[key]
        shown = f"{bound:g}" if isinstance(bound, float) else str(bound)
        return Problem(path=path, requirement=f"must be {sign} {shown}", value=value)
    if kind == "literal_error":
        expected = context["expected"].replace("'", "")
        known = expected.replace(" or ", ", ").split(", ")
        hint = _OTHER_NAMES.get((path, str(value).lower().rstrip("12"))) or did_you_mean(
            str(value), known, or_list=False
        )
        return Problem(path=path, requirement=f"must be {expected}", value=value, hint=hint)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _law_problem(path, value)
    if kind == "string_pattern_mismatch":
        return Problem(path=path, requirement=_NAME, value=value)
    if kind in ("string_too_short", "string_too_long"):
        requirement = "must have 1 to 200 characters"
        return Problem(path=path, requirement=requirement, value=value)
    if kind in ("int_type", "int_from_float") and isinstance(value, float):
        value = Verbatim(repr(value))
    requirement = _TYPES.get(kind, f"is wrong: {details['msg']}")
    hint = f"[{parts[0]}.NAME] holds such keys" if _is_an_entry(parts, requirement, root) else ""
    return Problem(path=path, requirement=requirement, value=value, hint=hint)


def _is_an_entry(parts: list[str], requirement: str, root: type[BaseModel]) -> bool:
    """Return whether a table by name was found to be no table."""
    if requirement != _TABLE or len(parts) != 2:
        return False
    return get_origin(_plain_type(root.model_fields[parts[0]].annotation)) is dict


def _law_problem(path: str, value: Any) -> Problem:
    name = value.get("name") if isinstance(value, dict) else None
    if name is None:
        hint = f"there is {', '.join(_LAWS)}"
        return Problem(path=f"{path}.name", requirement="is missing", hint=hint)
    hint = did_you_mean(str(name), _LAWS)
    requirement = "must be the name of a law"
    return Problem(path=f"{path}.name", requirement=requirement, value=name, hint=hint)


def gpu_hint(name: str, known: list[str]) -> str:
    """Return a hint at types of GPU that may be meant."""
    return _catalogue_hint(name, known)


def _catalogue_hint(name: str, known: list[str]) -> str:
    """Return a hint at entries of the catalogue: longer names of the same, or similar ones.

    Names with other numbers are of other things: a gb200 is no gh200, and an h20 no h200.
    """
    longer = [other for other in known if other.startswith(f"{name.lower()}-")]
    if longer:
        *others, last = (f'"{other}"' for other in longer)
        shown = f"{', '.join(others)} or {last}" if others else last
        return f"did you mean {shown}?"

    def numbers(text: str) -> list[str]:
        return re.findall(r"\d+", text)

    alike = [other for other in known if numbers(other) == numbers(name)]
    return did_you_mean(name, alike, or_list=False) or did_you_mean("", known)


def _walk(
    location: tuple[int | str, ...], root: type[BaseModel]
) -> tuple[list[str], Any, str | None]:
    """Return the key path of a location, its last table, and what a number or law there must be.

    Pydantic's locations contain the name of a law below its table, and which of a number and a law
    a value was taken for; key paths do not.

    Returns
    -------
    list of str
        Keys of the path.
    type or None
        Model of the table that has the last key, if its keys are known.
    str or None
        What is required of the value itself, if it may be a number or a law.
    """
    parts: list[str] = []
    table: Any = None
    requirement: str | None = None
    here: Any = root
    for part in location:
        requirement = _number_or_law(here)
        if requirement is not None:
            here = _ANY_LAW if part == "law" else None
            continue
        if here is _ANY_LAW:
            here = _LAWS.get(str(part))
            continue
        parts.append(str(part))
        here = _plain_type(here)
        if isinstance(here, type) and issubclass(here, BaseModel):
            table = here
            field = here.model_fields.get(str(part))
            here = field.annotation if field else None
        elif get_origin(here) in (dict, list):
            table = None
            here = get_args(here)[-1]
        here = _plain_type(here)
    return parts, table, requirement


def _keys(table: Any) -> list[str]:
    """Return the keys that a table can have, without names that are reserved for later."""
    fields = {} if table is None else table.model_fields
    return [key for key, field in fields.items() if not field.exclude]


def _number_or_law(annotation: Any) -> str | None:
    """Return what is required of a value of a type, if it may be a number or a law."""
    found = (said for said, either in _NUMBER_OR_LAW.items() if either is annotation)
    return next(found, None)


def _plain_type(annotation: Any) -> Any:
    """Return an annotation without its metadata and without None."""
    while True:
        if annotation is None or annotation is _ANY_LAW or _number_or_law(annotation):
            return annotation
        arguments = get_args(annotation)
        if get_origin(annotation) is Annotated:
            annotation = arguments[0]
        elif type(None) in arguments:
            (annotation,) = (other for other in arguments if other is not type(None))
        else:
            return annotation

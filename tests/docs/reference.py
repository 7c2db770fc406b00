"""Renders docs/commands.md and docs/api.md; `python -m tests.docs.reference` writes both."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import click
from pydantic import BaseModel

import hindmost as hm
from hindmost.cli import cli
from tests.docs.docstring import sections, to_markdown
from tests.docs.markdown import ROOT, anchor

DOCS = ROOT / "docs"

WIDTH = 80
"""Columns of the help of a command."""
CODE_WIDTH = 88
"""Columns of a signature, unless it has one parameter a line."""

VALUES = {"__version__": "Version of the package, as `hindmost --version` prints it."}
"""What public values are, which have no docstring of their own."""


def commands() -> str:
    """Return the page of all commands and options."""
    found = list(_commands(cli, "hindmost", None))
    head = """# Commands

What `hindmost COMMAND --help` prints, at a width of 80 columns. Results go to stdout, messages and
progress to stderr. [The Python interface](api.md) is a page of its own.

This page is rendered by `make references`, and a test compares it with the code."""
    rows = [f"| [`{path}`](#{anchor(path)}) | {short} |" for path, short, _ in found]
    table = "\n".join(["| command | |", "| :--- | :--- |", *rows])
    parts = [f"## {path}\n\n```text\n{text}\n```" for path, _, text in found]
    return "\n\n".join([head, table, *parts]) + "\n"


def _commands(
    command: click.Command, path: str, parent: click.Context | None
) -> Iterator[tuple[str, str, str]]:
    """Yield path, first sentence and help of a command, and of those below it."""
    settings = {
        **command.context_settings,
        "terminal_width": WIDTH,
        "max_content_width": WIDTH,
        "color": False,
    }
    context = click.Context(command, parent=parent, info_name=path.split()[-1], **settings)
    yield path, _first_sentence(command), click.unstyle(command.get_help(context))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from _commands(below, f"{path} {name}", context)


def _first_sentence(command: click.Command) -> str:
    paragraph = inspect.cleandoc(command.help or "").split("\n\n")[0]
    return " ".join(paragraph.split())


def api() -> str:
    """Return the page of all public names of the package."""
    head = f"""# The Python interface

Every public name of the package. [Commands](commands.md) are a page of their own; `hindmost schema`
prints the JSON Schema of a scenario, and [the glossary](glossary.md) defines the terms.

This page is rendered by `make references`, and a test compares it with the code.

{to_markdown(hm.__doc__ or "")}"""
    names = sorted(hm.__all__, key=lambda name: (name.strip("_").lower(), name))
    index = "\n".join(f"- [`{name}`](#{anchor(name)})" for name in names)
    return "\n\n".join([head, index, *(_linked(_public(name), names) for name in names)]) + "\n"


def _public(name: str) -> str:
    """Return the section of one public name."""
    value = getattr(hm, name)
    if inspect.isclass(value):
        return "\n\n".join(_class(value))
    if callable(value):
        return f"## `{name}`\n\n{_signature(value, f'hindmost.{name}')}\n\n{_docstring(value)}"
    code = f"```python\nhindmost.{name}: {type(value).__name__}\n```"
    return "\n\n".join(filter(None, [f"## `{name}`", code, VALUES.get(name)]))


def _class(value: type) -> Iterator[str]:
    yield f"## `{value.__name__}`"
    bases = [base.__name__ for base in value.__bases__ if base not in (object, BaseModel)]
    text = to_markdown(_own_docstring(value))
    if "Parameters" in sections(_own_docstring(value)):
        yield _signature(value, f"hindmost.{value.__name__}")
    else:
        yield f"```python\nclass hindmost.{value.__name__}{_in_brackets(bases)}\n```"
    if text:
        yield text
    if issubclass(value, BaseModel):
        yield _fields(value)
    for name, member in _members(value):
        yield f"### `{value.__name__}.{name}`\n\n{member}"


def _in_brackets(bases: list[str]) -> str:
    return f"({', '.join(bases)})" if bases else ""


def _fields(model: type[BaseModel]) -> str:
    """Return the fields of a model as a list: name, type, default and description."""
    schema = model.model_json_schema(by_alias=False)
    annotations = {
        name: annotation
        for base in reversed(model.__mro__)
        for name, annotation in inspect.get_annotations(base).items()
    }
    lines = []
    for name, field in model.model_fields.items():
        line = f"- `{name}: {_annotation(annotations[name])}`"
        if not field.is_required():
            default = field.get_default(call_default_factory=True, validated_data={})
            line += f", by default `{_plain(default)}`"
        description = _description(schema["properties"].get(name, {}), schema.get("$defs", {}))
        line += f": {' '.join(description.split())}" if description else ""
        lines.append(line)
    return "\n".join(["**Fields**", "", *lines])


def _description(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Return what the JSON Schema says of a field, or else of its type."""
    if "description" in schema:
        return str(schema["description"])
    reference = str(schema.get("$ref", "")).rpartition("/")[2]
    return str(definitions.get(reference, {}).get("description", ""))


def _members(value: type) -> Iterator[tuple[str, str]]:
    """Yield name and section of what a class of this package adds, in order."""
    ours = [base for base in reversed(value.__mro__) if base.__module__.startswith("hindmost")]
    members = {name: member for base in ours for name, member in vars(base).items()}
    for name, member in members.items():
        if name.startswith("_") or not _module(member).startswith("hindmost"):
            continue
        if isinstance(member, property | cached_property):
            annotation = _annotation(inspect.get_annotations(_code(member))["return"])
            code = f"```python\n{value.__name__}.{name}: {annotation}\n```"
            yield name, f"{code}\n\n{_docstring(member)}"
        elif inspect.isfunction(member) or isinstance(member, classmethod | staticmethod):
            code = _signature(getattr(value, name), f"{value.__name__}.{name}")
            yield name, f"{code}\n\n{_docstring(member)}"


def _module(member: object) -> str:
    """Return the module that a member of a class comes from, if it is code."""
    return str(getattr(_code(member), "__module__", None))


def _code(member: Any) -> Any:
    """Return the function below a property or a cached one, else the member itself."""
    if isinstance(member, property):
        return member.fget
    return getattr(member, "func", member)


def _signature(function: Callable[..., Any], path: str) -> str:
    """Return a call as Python code: on one line, or with one parameter a line."""
    signature = inspect.signature(function)
    parameters = [one for one in signature.parameters.values() if one.name != "self"]
    shown, has_star = [], False
    for one in parameters:
        if one.kind is inspect.Parameter.KEYWORD_ONLY and not has_star:
            shown.append("*")
        has_star |= one.kind in (
            inspect.Parameter.KEYWORD_ONLY,
            inspect.Parameter.VAR_POSITIONAL,
        )
        shown.append(_parameter(one))
    result = ""
    if signature.return_annotation is not inspect.Signature.empty and not inspect.isclass(function):
        result = f" -> {_annotation(signature.return_annotation)}"
    code = f"{path}({', '.join(shown)}){result}"
    if len(code) > CODE_WIDTH:
        lines = "".join(f"    {one},\n" for one in shown)
        code = f"{path}(\n{lines}){result}"
    return f"```python\n{code}\n```"


def _parameter(parameter: inspect.Parameter) -> str:
    # With its stars, which the parameter alone shows.
    text = str(parameter.replace(annotation=parameter.empty, default=parameter.empty))
    has_type = parameter.annotation is not inspect.Parameter.empty
    if has_type:
        text += f": {_annotation(parameter.annotation)}"
    if parameter.default is not inspect.Parameter.empty:
        text += f"{' = ' if has_type else '='}{_plain(parameter.default)}"
    return text


def _annotation(annotation: Any) -> str:
    return str(annotation if isinstance(annotation, str) else inspect.formatannotation(annotation))


def _plain(value: object) -> str:
    """Return the code of a value, without the address of anything in memory."""
    if isinstance(value, BaseModel):
        given = [name for name in type(value).model_fields if name in value.model_fields_set]
        arguments = ", ".join(f"{name}={_plain(getattr(value, name))}" for name in given)
        return f"{type(value).__name__}({arguments})"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _docstring(value: object) -> str:
    return to_markdown(inspect.getdoc(value) or "")


def _own_docstring(value: type) -> str:
    return inspect.cleandoc(value.__doc__ or "")


def _linked(text: str, names: list[str]) -> str:
    """Return Markdown in which code that is a public name leads to its section."""
    alternatives = "|".join(map(re.escape, names))
    code = re.compile(rf"(?<![`\[])`(({alternatives})(?:\.\w+)?)`(?![`\]])")
    lines, in_code = [], False
    for line in text.splitlines():
        in_code ^= line.lstrip().startswith("```")
        is_prose = not in_code and not line.startswith("#")
        lines.append(code.sub(lambda match: _link(*match.groups()), line) if is_prose else line)
    return "\n".join(lines)


def _link(path: str, name: str) -> str:
    """Return a link to a name's section; attributes without one are in that of their class."""
    attribute = getattr(getattr(hm, name), path.partition(".")[2], None)
    has_section = path == name or callable(attribute) or isinstance(attribute, property)
    return f"[`{path}`](#{anchor(path if has_section else name)})"


PAGES = {"commands.md": commands, "api.md": api}
"""What is rendered, by file."""

if __name__ == "__main__":
    for page, render in PAGES.items():
        (DOCS / page).write_text(render(), encoding="utf-8")

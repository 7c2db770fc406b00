"""Results in one Parquet file each: steps as its rows, all the rest in its metadata.

Steps may have lists beside them of what they are made of. Two keys of the metadata hold JSON:
`DOCUMENT_KEY` what `run --format json` prints, and `REST_KEY` what is missing there to make an
equal result. `DIGEST_KEY` holds two digests, because a damaged Parquet file may read as other
numbers: that of the document, and that of both and of the rows.
"""

from __future__ import annotations

import io
import json
import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from pydantic import ValidationError

from hindmost.attributed import Attribution
from hindmost.engines import Deviation
from hindmost.errors import Problem, ScenarioError
from hindmost.forecasted import Forecast
from hindmost.plan import Plan
from hindmost.strict import Strict
from hindmost.whole_run.hours import RunHours

if TYPE_CHECKING:
    import polars as pl

DOCUMENT_KEY = "hindmost"
"""Key of the document in the metadata."""
REST_KEY = "hindmost.rest"
"""Key of the rest in the metadata; files of older versions lack it."""
DIGEST_KEY = "hindmost.digest"
"""Key of the digests in the metadata: of the document, and of all."""
FORMAT = 3
"""Format of the rest. It goes up when a file can no longer be read as before."""

NOT_OURS = "is no result that hindmost has written"

_INPUTS = {
    "scenario": dict,
    "seed": int,
    "runs": int,
    "steps": int,
    "method": str,
    "version": str,
}
_ASKED = {"method": (str,), "runs": (int, type(None)), "steps": (int, type(None))}
"""What `inputs` hold of the call, if they were not written by an older version."""
_MACHINE = {"threads": int, "instruction_set": str, "wall_time_s": (int, float)}


class Rest(Strict):
    """What a result's document and steps do not hold."""

    format: int = FORMAT
    """Format of the rest."""
    plan: Plan
    """The scenario as plain numbers."""
    deviation: Deviation | None
    """How far approximate rows are from sampled ones."""
    busy_s: list[list[float]]
    """Seconds of a step in which a rank computes, by run and pool."""
    own_stall_s: list[list[float]]
    """Seconds of a rank's own stalls in a step, by run and pool."""
    episode_s: list[list[float]] | None = None
    """Seconds of busy_s that are because of episodes, where there are any that slow computing."""
    hours: RunHours | None = None
    """Where the time of whole runs went; files of format 1 have none."""
    forecast: Forecast | None = None
    """What was forecast beside, without its scenario; files of formats 1 and 2 have none."""
    attribution: Attribution | None = None
    """What each mechanism costs, without its scenario; files of formats 1 and 2 have none."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a file of a result holds.

    Attributes
    ----------
    table : DataFrame
        Its rows: steps, with what they are made of if that was kept.
    document : dict
        The result without its steps, as plain tables, lists and numbers.
    rest : Rest
        What is missing in both.
    """

    table: pl.DataFrame
    document: dict[str, Any]
    rest: Rest


def to_bytes(parts: Parts) -> memoryview:
    """Return the Parquet file of a result."""
    rest = parts.rest.model_dump(mode="json")
    metadata = {
        # JSON knows no number that is not finite.
        key: json.dumps(value, allow_nan=False)
        for key, value in ((DOCUMENT_KEY, parts.document), (REST_KEY, rest))
    }
    metadata[DIGEST_KEY] = digests(parts.table, metadata)
    buffer = io.BytesIO()
    parts.table.write_parquet(buffer, metadata=metadata)
    return buffer.getbuffer()


def digests(table: pl.DataFrame, metadata: dict[str, str]) -> str:
    """Return two digests, in hexadecimal digits: of the document, and of it, the rest and rows."""
    from hashlib import blake2b

    import polars as pl

    found = blake2b(digest_size=16)
    found.update(metadata[DOCUMENT_KEY].encode())
    of_document = found.hexdigest()
    found.update(metadata[REST_KEY].encode())
    for column in table:
        found.update(column.name.encode())
        numbers = column
        if column.dtype == pl.List:
            found.update(column.list.len().to_numpy().data)
            numbers = column.explode()
        # How wide the numbers of an enumeration are depends on the version of Polars.
        if numbers.dtype == pl.Enum:
            numbers = numbers.to_physical().cast(pl.UInt32)
        if numbers.dtype == pl.Boolean:
            numbers = numbers.cast(pl.UInt8)
        if numbers.dtype.is_numeric():
            found.update(numbers.to_numpy().data)
    return f"{of_document} {found.hexdigest()}"


def read_parts(path: Path) -> Parts:
    """Return what the file of a result holds.

    Raises
    ------
    ScenarioError
        If the file cannot be read, is not of a result, or holds no whole one.
    """
    import polars as pl

    # Opened once: a file that is replaced meanwhile must not be read half and half.
    with _opened(path) as file:
        metadata = _metadata(path, file)
        document = _document(path, metadata)
        _check_whole(path, metadata, document)
        file.seek(0)
        table: pl.DataFrame = _by_polars(path, pl.read_parquet, file)
    if metadata.get(DIGEST_KEY) != digests(table, metadata):
        raise damaged(path, "other values than were written")
    rest = _rest(path, metadata, document)
    return Parts(table=table, document=document, rest=rest)


def wants_terms(inputs: dict[str, Any]) -> bool:
    """Return whether a call asked for what each step is made of; older versions could not."""
    return (inputs.get("asked") or {}).get("terms") is True


def read_inputs(path: Path) -> dict[str, Any]:
    """Return the inputs that the file of a result holds, of whatever version it is.

    Raises
    ------
    ScenarioError
        If the file cannot be read or is not of a result.
    """
    with _opened(path) as file:
        document = _document(path, _metadata(path, file))
    inputs: dict[str, Any] = document["inputs"]
    return inputs


def has_forecast(path: Path) -> bool:
    """Return whether the file of a result holds a forecast.

    Raises
    ------
    ScenarioError
        As `read_inputs`.
    """
    with _opened(path) as file:
        return "forecast" in _document(path, _metadata(path, file))


def damaged(path: Path, what: str) -> ScenarioError:
    """Return the refusal of a file whose inputs can be read, and not all the rest."""
    requirement = f"holds {what}, so only the inputs of a result can be read"
    return _refused(path, requirement, hint=_repeat(path))


def _opened(path: Path) -> BinaryIO:
    try:
        # Polars takes a path for a pattern of paths, or for a place in a cloud.
        return path.open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _refused(path, f"cannot be read: {reason.lower()}") from None


def _metadata(path: Path, file: BinaryIO) -> dict[str, str]:
    import polars as pl

    metadata: dict[str, str] = _by_polars(path, pl.read_parquet_metadata, file)
    return metadata


def _by_polars(path: Path, read: Any, file: BinaryIO) -> Any:
    """Return what Polars reads from a file."""
    import polars as pl

    try:
        return read(file)
    except (pl.exceptions.PolarsError, OSError, ValueError):
        pass
    except BaseException as error:
        # A damaged file may make Polars panic, and what that raises is no PolarsError.
        if type(error).__name__ != "PanicException":
            raise
    raise _refused(path, NOT_OURS)


def _document(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    """Return the document in a file's metadata, whose inputs have the right types."""
    try:
        document = _parsed(metadata[DOCUMENT_KEY])
        inputs = document["inputs"]
        fits = all(_is(inputs[key], kind) for key, kind in _INPUTS.items())
        asked = inputs.get("asked")
        fits &= asked is None or all(_is(asked[key], kind) for key, kind in _ASKED.items())
        fits &= asked is None or isinstance(asked.get("terms", False), bool)
        for key in ("days", "tokens", "precision"):
            fits &= asked is None or _is(asked.get(key), (int, float, type(None)))
    except (LookupError, ValueError, TypeError, RecursionError):
        fits = False
    if not fits:
        raise _refused(path, NOT_OURS)
    from hashlib import blake2b

    known = metadata.get(DIGEST_KEY)
    of_document = blake2b(metadata[DOCUMENT_KEY].encode(), digest_size=16).hexdigest()
    # Earlier files have no digest.
    if known is not None and known.partition(" ")[0] != of_document:
        requirement = "is damaged: its document holds other values than were written"
        raise _refused(path, requirement)
    return dict(document)


def _check_whole(path: Path, metadata: dict[str, str], document: dict[str, Any]) -> None:
    """Refuse a file of a version that wrote no whole results, or wrote them otherwise."""
    if REST_KEY not in metadata:
        version = document["inputs"]["version"]
        requirement = f"holds the inputs of a result of version {version}, and no whole result"
        raise _refused(path, requirement, hint=_repeat(path))
    try:
        found = _parsed(metadata[REST_KEY])["format"]
    except (LookupError, TypeError, ValueError, RecursionError):
        raise damaged(path, "a rest that is no JSON of a result") from None
    if not _is(found, int) or found < 1:
        raise damaged(path, "a format that is no number")
    if found > FORMAT:
        requirement = f"has format {found}, and this version reads {FORMAT}"
        raise _refused(path, requirement, hint=_repeat(path))


def _rest(path: Path, metadata: dict[str, str], document: dict[str, Any]) -> Rest:
    machine = document.get("machine")
    if not (isinstance(document.get("why"), str) and isinstance(machine, dict)):
        raise damaged(path, "no reason or no machine")
    if not all(_is(machine.get(key), kind) for key, kind in _MACHINE.items()):
        raise damaged(path, "a machine of other figures")
    try:
        return Rest.model_validate_json(metadata[REST_KEY])
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"])
        raise damaged(path, f"a {place} that does not fit") from None


def _parsed(text: str) -> Any:
    """Return the value of JSON; raises ValueError for a number that is not finite."""

    def refuse(name: str) -> NoReturn:
        raise json.JSONDecodeError(f"{name} is no number", text, 0)

    def finite(digits: str) -> float:
        number = float(digits)
        return number if math.isfinite(number) else refuse(digits)

    return json.loads(text, parse_constant=refuse, parse_float=finite)


def _is(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _repeat(path: Path) -> str:
    return f"`hindmost run {shlex.quote(str(path))}` repeats it"


def _refused(path: Path, requirement: str, *, hint: str = "") -> ScenarioError:
    return ScenarioError([Problem(path="", requirement=requirement, hint=hint, source=str(path))])

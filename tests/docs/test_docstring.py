"""Docstrings in numpydoc form become Markdown that reads alike."""

from tests.docs.docstring import sections, to_markdown

DOCSTRING = """Return the time of the slowest of `n_gpus` GPUs.

    The law is one of ``constant`` and
    ``lognormal``.

    Parameters
    ----------
    law
        Law of one GPU's time.
    low, high : float
        Ends,
        in seconds.

        Both count.

    Returns
    -------
    array of float64, shape (runs,)
        Seconds.

    Raises
    ------
    ValueError
        If there are none.

    Notes
    -----
    The law of a maximum is ``F(t) ** n``.

    ====  ====
    a     b
    ====  ====

    Examples
    --------
    >>> slowest(1)
    1.0
    """

MARKDOWN = """Return the time of the slowest of `n_gpus` GPUs.

The law is one of `constant` and
`lognormal`.

**Parameters**

- `law`: Law of one GPU's time.
- `low`, `high` (float): Ends,
  in seconds.

  Both count.

**Returns**

- array of float64, shape (runs,): Seconds.

**Raises**

- `ValueError`: If there are none.

**Notes**

The law of a maximum is `F(t) ** n`.

```text
====  ====
a     b
====  ====
```

**Examples**

```pycon
>>> slowest(1)
1.0
```"""


def test_each_section_becomes_a_list_a_text_or_a_code_block() -> None:
    assert to_markdown(DOCSTRING) == MARKDOWN


def test_a_docstring_of_one_line_stays_as_it_is() -> None:
    assert to_markdown("Return ``1``.") == "Return `1`."


def test_a_title_needs_as_many_dashes() -> None:
    assert sections(DOCSTRING) == {"Parameters", "Returns", "Raises", "Notes", "Examples"}
    assert sections("A list:\n\n- a\n- b") == set()

"""Entry point of ``python -m hindmost`` and of the command ``hindmost``."""

import gc

# Modules that are loaded make many objects, of which none is garbage.
gc.set_threshold(100_000, 20, 20)

from hindmost.cli import main  # noqa: E402

if __name__ == "__main__":
    main()

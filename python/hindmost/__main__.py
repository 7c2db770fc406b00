"""Entry point of ``python -m hindmost`` and of the command ``hindmost``."""

import gc
import sys

# Modules that are loaded make many objects, of which none is garbage.
gc.set_threshold(100_000, 20, 20)

try:
    from hindmost.cli import main
except KeyboardInterrupt:
    # The status of an interrupted command, which is not loaded yet.
    sys.exit(130)

if __name__ == "__main__":
    main()

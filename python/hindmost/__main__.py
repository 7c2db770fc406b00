"""Entry point of ``python -m hindmost`` and of the command ``hindmost``."""

import gc
import sys

# A command ends before garbage in circles matters, and looking for it takes a twentieth of a run.
gc.disable()

try:
    from hindmost.cli import main
except KeyboardInterrupt:
    # The status of an interrupted command, which is not loaded yet.
    sys.exit(130)

if __name__ == "__main__":
    main()

"""Entry point of ``python -m hindmost`` and of the command ``hindmost``."""

import gc
import os
import sys
from typing import NoReturn

# A command ends before garbage in circles matters, and looking for it takes a twentieth of a run.
gc.disable()

# Pydantic looks for plugins among all packages that are installed, and no table here needs one.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

try:
    from hindmost.cli import main as run
except KeyboardInterrupt:
    # The status of an interrupted command, which is not loaded yet.
    sys.exit(130)


def main() -> NoReturn:
    """Run the command line, and end the process.

    What has been written is flushed, and the interpreter is not taken apart, which takes some
    hundredths of a second and gives back nothing that the end of the process does not.
    """
    try:
        run()
    except SystemExit as ended:
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        except (OSError, ValueError):
            raise ended from None
        os._exit(ended.code if isinstance(ended.code, int) else 0)


if __name__ == "__main__":
    main()

"""Entry point of ``python -m hindmost`` and of the command ``hindmost``."""

from hindmost.cli import main

if __name__ == "__main__":
    main()

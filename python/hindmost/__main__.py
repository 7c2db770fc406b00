"""``python -m hindmost`` and the ``hindmost`` command."""

from hindmost.cli import main

if __name__ == "__main__":
    main()

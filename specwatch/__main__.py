"""`python -m specwatch`, the same as the `specwatch` command."""

from specwatch.cli import main

if __name__ == "__main__":
    main()

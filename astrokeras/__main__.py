"""`python -m astrokeras` is the command line `astrokeras`."""

from astrokeras.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

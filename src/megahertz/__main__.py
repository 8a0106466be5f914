"""`python -m megahertz` is `mhz`."""

from megahertz.cli import main

if __name__ == "__main__":
    main()

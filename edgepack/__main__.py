"""`python -m edgepack`: the command line."""

from edgepack.cli import main

if __name__ == "__main__":
    main()

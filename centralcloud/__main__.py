"""`python -m centralcloud`: the command line, where its program is not on the PATH."""

from centralcloud.cli import main

if __name__ == "__main__":
    main()

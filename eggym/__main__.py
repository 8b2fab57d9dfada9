"""``python -m eggym``: the command, where its script is not on the path."""

from eggym.cli import main

if __name__ == "__main__":
    main()

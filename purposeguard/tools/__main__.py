"""`python -m purposeguard.tools`: the command line, where the script `purposeguard` is not on the path."""

from purposeguard.tools.cli import main

if __name__ == "__main__":
    main()

"""`python -m purposeguard`: the command line, where the script `purposeguard` is not on the path."""

from purposeguard.cli.main import main

if __name__ == "__main__":
    main()

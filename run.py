"""The program: `python run.py …` is the same as the console script `iuserver …`."""

from iuserver.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

"""The program: `python run.py …` is the same as the console script `iuserver …`. The binary is made of it."""

from iuserver.cli import main
from iuserver.programs import run_child

if __name__ == "__main__":
    raise SystemExit(0 if run_child() else main())

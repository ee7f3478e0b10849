"""`python -m stages <name> --tokens data/tokens … --out models/base`: the command lines of dvc.yaml end here."""

import sys

from stages.runner import main

sys.exit(main(sys.argv[1:]))

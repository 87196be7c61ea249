"""`python -m define` is the command `define`."""

import sys

from define.cli.main import main

sys.exit(main())

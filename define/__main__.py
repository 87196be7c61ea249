"""`python -m define` is the command `define`."""

import sys

from define.cli.main import main

code = main()
# CPython ends by SIGINT where an interruption ever left an exec(), though main() has handled it;
# the next exec() makes it forget.
exec("")
sys.exit(code)

"""The one exception that stands for bad input; the command line turns it into exit code 2."""


class InputError(ValueError):
    """Bad input, told in one sentence that names the value, the rule and the fix."""

"""The exception for bad input; the command line reports it and exits with code 2."""


class InputError(ValueError):
    """Bad input, explained in one sentence that names the value, the rule and the fix."""

"""The one exception that means: the user can mend this. Its text is a sentence to be shown without a traceback."""


class UserError(Exception):
    """A mistake in parameters, input files or surroundings, told in one sentence: what, where, and what to do."""

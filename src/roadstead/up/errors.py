"""What stops `roadstead up` and its siblings: told in one sentence, with the remedy."""


class UpError(Exception):
    """A person must do something first; the text says what happened and what to do."""

"""Why a submit was refused."""


class SubmitError(Exception):
    """`code` is one of `protocol.E_…`; `hint` says what to do."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

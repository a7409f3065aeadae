"""The refusal of state, control bodies and files: what is wrong, and where."""


class BadInput(ValueError):
    """Something handed to the fake is not well formed; nothing was changed.

    `reason` says what is wrong, `where` is a path (`$.messages[3].id`) or a line (`line 3`).
    """

    def __init__(self, reason: str, where: str = "$") -> None:
        super().__init__(f"{reason} @ {where}")
        self.reason = reason
        self.where = where

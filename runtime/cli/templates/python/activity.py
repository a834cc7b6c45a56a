"""Says how much of each picture moves. Make of it what you need."""

import json

# The grid on which pictures are compared.
COLS, ROWS = 32, 18

# The host refuses results with any other name.
HEADERS = ["{{name}}.share", "{{name}}.state"]

# What `config` of a camera's plugin may say.
DEFAULTS = {
    # By how much the luma of a cell has to differ from the picture before, 1 to 255.
    "threshold": 12,
    # From which share of the cells on a picture is `moving`, 0 to 1.
    "moving_from": 0.02,
}


class Activity:
    def __init__(self, config: str) -> None:
        given = json.loads(config)
        for key in given:
            if key not in DEFAULTS:
                raise ValueError(f"{key}: unknown; there are {', '.join(DEFAULTS)}")
        values = {**DEFAULTS, **given}
        self.threshold, self.moving_from = values["threshold"], values["moving_from"]
        if type(self.threshold) is not int or not 1 <= self.threshold <= 255:
            raise ValueError("threshold: must be 1 to 255")
        if type(self.moving_from) not in (int, float) or not 0 <= self.moving_from <= 1:
            raise ValueError("moving_from: must be 0 to 1")

    def look(self, cells: bytes) -> dict[str, str]:
        """The results for a picture whose cells differ so much from the one before. There are none
        where there is nothing to compare with."""
        moving = sum(change >= self.threshold for change in cells)
        share = moving / (COLS * ROWS)
        state = "moving" if share >= self.moving_from else "still"
        return dict(zip(HEADERS, [f"{share:.3f}", state]))

"""What the host calls. The work itself is in activity.py, which runs without a host, too."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.lifecycle import Descriptor
from wit_world.imports.frames import Frame
from wit_world.imports.types import Header

from activity import COLS, HEADERS, ROWS, Activity

activity = Activity("{}")


class Lifecycle(exports.Lifecycle):
    def describe(self) -> Descriptor:
        return Descriptor("{{name}}", "0.1.0", HEADERS)

    def configure(self, config: str) -> None:
        global activity
        try:
            activity = Activity(config)
        except ValueError as error:
            raise Err(str(error))


class FrameHook(exports.FrameHook):
    def on_frame(self, frame: Frame) -> list[Header]:
        # The host compares the pictures: no pixels come into the sandbox for it. A loop over pixels
        # would take Python tens of milliseconds for each frame.
        cells = frame.motion_grid(COLS, ROWS)
        return [Header(name, value.encode()) for name, value in activity.look(cells).items()]

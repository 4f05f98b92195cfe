"""What a capture run is told: plain, picklable, importable anywhere without cv2 or mediapipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from livemove.numbers import place
from livemove.takes.folder import is_take


@dataclass(frozen=True)
class CaptureConfig:
    """camera is an index as text ("0"), a video file, an http/https/rtsp URL, the folder of a take, or "demo": the
    demo dancer.

    loop        a video file or take starts again at its end
    pose        "full" or "lite": which of MediaPipe's pose models
    pose_model  its file; None: the cached or fetched one (see posemodel.py)
    pose_runtime  one of POSE_RUNTIMES; "auto": the fastest that is installed
    dancer      who plays of several: "largest", "left" or "right" of the image; who is the first of two dancers
    dancers     1, or 2: two people are told from each other
    mirror      image x is published mirrored, for a monitor that is a mirror; left stays the performer's left
    mirrored    the images come mirrored, as selfie videos may be: they are turned over before anybody looks at them
    patient     a camera or URL that gives no image is waited for; False: that is an error. The session decides
    video_address  where the frames go that takes keep (takes/camera_track.py); "": nowhere; the session fills it in
    """

    camera: str = "0"
    loop: bool = False
    pose: str = "full"
    pose_model: Path | None = None
    pose_runtime: str = "auto"
    dancer: str = "largest"
    dancers: int = 1
    mirror: bool = False
    mirrored: bool = False
    patient: bool = False
    video_address: str = ""

    @property
    def kind(self) -> str:
        """ "demo", "index", "url", "take" or "file"."""
        if self.camera == "demo":
            return "demo"
        if is_take(Path(self.camera)):
            return "take"
        if (number := place(self.camera)) is not None and number >= 0:
            return "index"
        return "url" if "://" in self.camera and not Path(self.camera).is_file() else "file"


def cameras_here() -> tuple[str, ...]:
    """The webcams that are plugged in, as --camera takes them, as far as the system tells without opening one: Linux.

    Of the nodes that a webcam has there, the first is the camera.
    """
    numbers: list[int] = []
    for node in Path("/sys/class/video4linux").glob("video*"):
        try:
            first = (node / "index").read_text().strip() == "0"
        except OSError:  # unplugged meanwhile
            continue
        if first:
            numbers.append(int(node.name.removeprefix("video")))
    return tuple(str(number) for number in sorted(numbers))

"""A clip at a higher frame rate: `python -m tests.measure.interpolate CLIP OUT.mp4 --fps 60 [--seconds 20]`.

In: a video. Out: the same movement with frames between its frames, made by FFmpeg's motion-compensated interpolation
(minterpolate): a camera of 60 frames per second where none is at hand. What moves in it is as good as the interpolation
is; the time between its frames is exact. Takes some seconds for every second of video.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph

from livemove.media import video_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fps", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=20.0)
    asked = parser.parse_args()
    print(f"{asked.out}: {interpolate(asked.clip, asked.out, asked.fps, asked.seconds)} frames")


def interpolate(clip: Path, out: Path, fps: int, seconds: float) -> int:
    """Write the first seconds of clip at fps; how many frames there are now. Raises CameraError."""
    rate = Fraction(video_file.probe(clip).fps).limit_denominator(1001)
    graph, source, sink, count = Graph(), None, None, 0
    with av.open(str(out), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "16", "preset": "veryfast"})
        stream.pix_fmt = "yuv420p"

        def write_ready() -> None:
            nonlocal count
            assert sink is not None
            while True:
                try:
                    frame = sink.pull()
                except (av.error.BlockingIOError, av.error.EOFError):
                    return
                frame.pts, frame.time_base, count = count, Fraction(1, fps), count + 1
                container.mux(stream.encode(frame))

        for number, (time_s, image) in enumerate(video_file.frames(clip)):
            if time_s >= seconds:
                break
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(format="yuv420p")
            if source is None:
                stream.height, stream.width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
                source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format,
                                          time_base=1 / rate)  # fmt: skip
                between = graph.add("minterpolate", f"fps={fps}:mi_mode=mci:scd=none")
                sink = graph.add("buffersink")
                source.link_to(between)
                between.link_to(sink)
                graph.configure()
            frame.pts, frame.time_base = number, 1 / rate
            source.push(frame)
            write_ready()
        if source is not None:
            source.push(None)
            write_ready()
        container.mux(stream.encode(None))
    return count


if __name__ == "__main__":
    main()

"""The two networks of a pose bundle on LiteRT: the one place that knows it.

In: the bytes of a verified pose_landmarker_*.task, how many threads. Out: networks, crop in, tensors out.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from livemove.capture.blazepose import detections, landmarks
from livemove.capture.blazepose.crops import Crop
from livemove.contracts import Float32

DETECTOR = "pose_detector.tflite"
LANDMARKER = "pose_landmarks_detector.tflite"


class Network:
    """One network: a crop in, which the caller fills, tensors out. Use it from one thread at a time.

    low, high: what the bytes 0 and 255 become. Raises ValueError, RuntimeError: not a network that LiteRT can run.
    """

    def __init__(self, content: bytes, crop: Crop, low: float, high: float, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter: Any = Interpreter(model_content=content, num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input: Any = self._interpreter.tensor(self._interpreter.get_input_details()[0]["index"])
        details = self._interpreter.get_output_details()
        self._outputs: list[Any] = [self._interpreter.tensor(each["index"]) for each in details]
        self._scale, self._low = np.float32((high - low) / 255.0), np.float32(low)
        self.crop = crop

    def run(self) -> None:
        """Compute the outputs for crop."""
        # The tensor's own memory, asked for anew each time: LiteRT refuses to run while somebody holds on to it.
        given: npt.NDArray[np.float32] = self._input()[0]
        np.multiply(self.crop.pixels, self._scale, out=given)
        if self._low:
            given += self._low
        del given
        self._interpreter.invoke()

    def output(self, number: int) -> Float32:
        """An output tensor without its batch: the network's own memory, to be let go of before the next run."""
        return self._outputs[number]()[0]


class LandmarkNetwork(Network):
    """The network that finds a body's landmarks."""

    def presence(self) -> float:
        """Run it on its crop: how sure it is that there is a body, 0..1."""
        self.run()
        return float(self.output(1)[0])

    def reading(self) -> landmarks.Reading:
        """What the last run found."""
        return landmarks.read(self.output(0), self.output(3), self.output(4))


class Networks:
    """Detector and landmark networks of a bundle, one for each of so many people, who are looked at side by side.
    threads: of the detector, and of all landmark networks together."""

    def __init__(self, bundle: bytes, threads: int, people: int = 1) -> None:
        with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
            detector, landmarker = archive.read(DETECTOR), archive.read(LANDMARKER)
        self.detector = Network(detector, Crop(detections.EDGE, cv2.BORDER_CONSTANT), -1.0, 1.0, threads)
        self.landmarkers = [
            LandmarkNetwork(landmarker, Crop(landmarks.EDGE, cv2.BORDER_REPLICATE), 0.0, 1.0, max(threads // people, 1))
            for _ in range(people)
        ]
        self._centres = detections.anchors()

    def detect(self) -> Float32:
        """The bodies in the detector's crop: see `detections.bodies`."""
        self.detector.run()
        return detections.bodies(self.detector.output(0), self.detector.output(1)[:, 0], self._centres)

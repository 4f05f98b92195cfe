"""What the theremin should have played: channels of a dance film, by landmarks taken a second time, on their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from livemove.body.features import FEATURES, FeatureStream
from livemove.body.mapping import load_mapping
from livemove.bundle import Bundle
from livemove.capture.landmarker import Landmarker
from livemove.contracts import HOP, Float32, Float64
from livemove.media import video_file
from training.metrics import pitched


def channels_of(clip: Path, bundle: Bundle, hops: int, pose_model: Path | None) -> tuple[Float32, Float64]:
    """(channels [hops, C], height of the right wrist above the shoulder [hops]); fewer where the film is shorter."""
    assert bundle.mapping_path is not None
    stream, mapping = FeatureStream(), load_mapping(bundle.mapping_path, bundle.spec, FEATURES)
    rate = bundle.spec.sample_rate
    channels, wrist = np.zeros((hops, len(bundle.spec.channels)), np.float32), np.zeros(hops)
    at, height = 0, 0.0
    with Landmarker("full", pose_model) as landmarker:
        for time_s, image in video_file.frames(clip):
            while at < hops and at * HOP / rate < time_s:
                channels[at], wrist[at] = mapping.step(stream.at((at + 0.5) * HOP / rate), HOP / rate), height
                at += 1
            if at >= hops:
                break
            pose = landmarker.find(image, time_s)
            stream.update(pose, (at + 0.5) * HOP / rate)
            height = float(pose.image[0, 12, 1] - pose.image[0, 16, 1])
    return channels[:at], wrist[:at]


def best_spearman(audio: Float32, rate: int, channels: Float32) -> float:
    """Spearman's rank correlation of pitch found by YIN and pitch asked for, where the film goes round and the sound
    began at an unknown moment: the highest over all moments (10 ms apart). Backwards, the film reaches 0.62."""
    found = pitched.track_pitch(audio, rate, 0, len(audio) // HOP)
    best = -1.0
    for late in range(0, len(channels), 2):
        asked = channels[(np.arange(len(found)) + late) % len(channels)]
        heard = pitched.voiced(asked)
        if heard.mean() > 0.2:
            best = max(best, float(spearmanr(asked[heard, 0], found[heard])[0]))
    return best

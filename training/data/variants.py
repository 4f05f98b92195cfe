"""A few versions of each dance as a stage might have shown it: features from disturbed landmarks, made once and kept.

In: a corpus, how much to disturb, a folder. Out: features float32 [hops, F] of a clip's version, the same for one seed.
The landmarks go through the FeatureStream that plays live. That takes 20 to 30 ms for a second of dance, which is too
much for every step and every clip: so a run makes `count` versions, each when it is first asked for, in whichever of
its processes asks, and maps them from then on.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np

from livemove.bundle import NO_ARRAYS
from livemove.contracts import Float32
from training.data.augment import Observation, Shake, disturbed
from training.data.clip import features_at_hops
from training.data.corpus import Clip, Corpus, CorpusError, replace_file, unpacked


class Variants:
    """Versions 0 .. count - 1 of every video of a corpus. Can be pickled. Raises CorpusError where there is no
    video."""

    def __init__(self, corpus: Corpus, shake: Shake, count: int, seed: int, folder: Path) -> None:
        self.corpus, self.shake, self.count, self.seed = corpus, shake, count, seed
        for clip in corpus.clips:
            if "features" in clip.tracks and not clip.frames:
                raise CorpusError(
                    f"{corpus.root}: {clip.key} has no landmarks that could be disturbed; prepare it again, or train "
                    "without augmentation"
                )
        what = repr((shake, seed, corpus.sample_rate, corpus.clips))  # another question, other answers: other files
        self.folder = folder / hashlib.sha256(what.encode()).hexdigest()[:12]

    def features(self, clip: Clip, number: int) -> Float32:
        """[hops, F] of that version, mapped. Raises CorpusError, OutputError."""
        path = self.folder / f"{clip.key}.{number}.npy"
        if not path.exists():
            content = io.BytesIO()
            np.save(content, self.made(clip, number))
            replace_file(path, content.getvalue())
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except NO_ARRAYS as error:
            raise CorpusError(f"{path}: cannot be read ({error}); delete it") from error

    def made(self, clip: Clip, number: int) -> Float32:
        """[hops, F], anew."""
        key = int.from_bytes(hashlib.sha256(clip.key.encode()).digest()[:8], "big")
        arrays = self.corpus.landmarks(clip)
        observation = disturbed(
            np.random.default_rng((self.seed, key, number)),
            Observation(arrival_s=arrays["frame_s"], **arrays),
            self.shake,
        )
        columns = (
            observation.frame_s,
            observation.people,
            observation.image,
            observation.world,
            observation.visibility,
        )
        poses = [unpacked(i, *row) for i, row in enumerate(zip(*columns, strict=True))]
        return features_at_hops(poses, clip.hops, self.corpus.sample_rate, observation.arrival_s)

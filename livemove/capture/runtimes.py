"""Names of the pose runtimes, for options and messages. Imports nothing: --help needs it."""

POSE_RUNTIMES = ("litert", "mediapipe")
"""What can compute poses, from the same networks."""

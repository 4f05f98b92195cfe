"""Engines that turn channels into audio, and the synthesis process that drives one."""

from livemove.synthesis.engines import EngineChoice, choose_engine, engine_names, make_engine

__all__ = ["EngineChoice", "choose_engine", "engine_names", "make_engine"]

"""Engines that turn channels into audio, and the synthesis process that drives one."""

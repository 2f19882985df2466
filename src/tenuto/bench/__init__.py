"""Measure how fast a server answers: prompts, load, figures and plot."""

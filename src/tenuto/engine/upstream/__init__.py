"""Engines that pass a job on: to Claude, to OpenAI-compatible servers, to servers of this API."""

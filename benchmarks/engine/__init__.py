"""The embedded engine against llama.cpp, on one model file. See docs/performance.md."""

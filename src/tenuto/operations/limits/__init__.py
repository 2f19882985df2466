"""Limits, budgets and prices of keys. Pure: integers only, and the clock is an argument.

`now` is always in nanoseconds since 1970, from a clock that never goes back: the wall clock read
once, plus a monotonic clock. Nothing here is safe to use from two threads.
"""

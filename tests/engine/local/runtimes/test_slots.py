"""The slot of a job, and whether the job may read its cache."""

from __future__ import annotations

from tenuto.engine.local.runtimes.llamacpp.slots import Slots


def test_tenant_gets_its_slot_with_the_longest_common_prefix() -> None:
    slots = Slots(3)
    for prompt, again in (([1, 2, 3], False), ([1, 2, 9], True)):
        taken = slots.take("one", prompt)
        assert taken is not None
        slots.release(taken[0], "one")
        other = slots.take("two", [1, 2, 3, 4])
        assert other is not None
        assert other[1] == again
        slots.release(other[0], "two")
    taken = slots.take("two", [1, 2, 3, 4])
    assert taken is not None
    slot, reads = taken
    assert reads
    assert list(slot.prompt) == [1, 2, 3, 4]


def test_job_without_output_keeps_the_slots_tenant() -> None:
    slots = Slots(1)
    for tenant, wrote in (("one", "one"), ("two", None), ("two", None)):
        taken = slots.take(tenant, [1, 2, 3])
        assert taken is not None
        slot, reads = taken
        assert not reads
        slots.release(slot, wrote)


def test_no_slot_is_returned_while_all_are_busy() -> None:
    slots = Slots(1)
    taken = slots.take("one", [1])
    assert taken is not None
    assert slots.take("two", [1]) is None
    slots.release(taken[0], "one")
    assert slots.take("two", [1]) is not None


def test_short_common_prefix_does_not_evict_another_prompt() -> None:
    slots = Slots(2)
    long, other = list(range(100)), [0, 1, *range(200, 298)]
    for prompt, again in ((long, False), (other, False), (long, True), (other, True)):
        taken = slots.take("one", prompt)
        assert taken is not None
        slot, reads = taken
        assert reads == again
        slots.release(slot, "one")

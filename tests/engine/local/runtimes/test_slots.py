"""The slot of a job, and whether the job may read its cache."""

from __future__ import annotations

from tenuto.engine.local.runtimes.llamacpp.slots import Slots


def test_a_tenant_gets_the_own_slot_that_begins_most_like_its_prompt() -> None:
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


def test_a_job_that_ended_before_it_wrote_leaves_the_prompt_of_another_tenant_unread() -> None:
    slots = Slots(1)
    for tenant, wrote in (("one", "one"), ("two", None), ("two", None)):
        taken = slots.take(tenant, [1, 2, 3])
        assert taken is not None
        slot, reads = taken
        assert not reads
        slots.release(slot, wrote)


def test_there_is_none_while_all_are_busy() -> None:
    slots = Slots(1)
    taken = slots.take("one", [1])
    assert taken is not None
    assert slots.take("two", [1]) is None
    slots.release(taken[0], "one")
    assert slots.take("two", [1]) is not None


def test_a_prompt_that_only_begins_as_all_do_leaves_the_tenants_other_prompts() -> None:
    slots = Slots(2)
    long, other = list(range(100)), [0, 1, *range(200, 298)]
    for prompt, again in ((long, False), (other, False), (long, True), (other, True)):
        taken = slots.take("one", prompt)
        assert taken is not None
        slot, reads = taken
        assert reads == again
        slots.release(slot, "one")

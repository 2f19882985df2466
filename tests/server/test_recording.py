from __future__ import annotations

from typing import Any

import pytest

from tenuto.operations.idempotency.records import KeptResponse
from tenuto.server.recording import Recording, replay

pytestmark = pytest.mark.anyio

START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"application/json"),
        (b"request-id", b"req_1"),
        (b"retry-after", b"3"),
        (b"anthropic-ratelimit-requests-remaining", b"7"),
        (b"tenuto-upstream", b"one"),
    ],
}


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


class Peer:
    """Notes sent messages and complete responses, in order."""

    def __init__(self, room: int = 10**9) -> None:
        self.room = room
        self.notes: list[Any] = []
        self.recording = Recording(self.send, self.hold, self.complete)

    async def send(self, message: Any) -> None:
        self.notes.append(message)

    def hold(self, size: int) -> bool:
        self.room -= size
        return self.room >= 0

    async def complete(self, response: KeptResponse) -> None:
        self.notes.append(response)


async def test_response_is_complete_before_its_last_message_is_sent() -> None:
    peer = Peer()
    messages = [START, part(b"one ", more=True), part(b"two", more=True), part(b"")]
    for message in messages:
        await peer.recording.send(message)

    headers = ((b"content-type", b"application/json"), (b"tenuto-upstream", b"one"))
    assert peer.notes == [*messages[:3], KeptResponse(200, headers, b"one two"), messages[3]]


async def test_response_without_room_is_sent_and_not_recorded() -> None:
    peer = Peer(room=4)
    messages = [START, part(b"one ", more=True), part(b"two", more=True), part(b"")]
    for message in messages:
        await peer.recording.send(message)

    assert peer.notes == messages


@pytest.mark.parametrize("length", [0, 1, 65_536, 65_537, 200_000])
async def test_replay_has_the_same_body_in_bounded_parts(length: int) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    body = bytes(number % 251 for number in range(length))
    await replay(KeptResponse(500, ((b"a", b"b"),), body), send)

    start, *parts = sent
    assert start["status"] == 500
    assert start["headers"] == [(b"a", b"b"), (b"idempotent-replayed", b"true")]
    assert b"".join(each["body"] for each in parts) == body
    assert max(len(each["body"]) for each in parts) <= 65_536
    assert [each.get("more_body", False) for each in parts] == [True] * (len(parts) - 1) + [False]

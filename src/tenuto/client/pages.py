"""The list of models, a page at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from typing import Any

from pydantic import PrivateAttr

from tenuto.client.types import BaseModel, ModelInfo


class BasePage(BaseModel):
    """What both kinds of page are.

    Attributes:
        data: The models of this page, newest first.
        has_more: Whether there are more in the direction that was asked for.
        first_id: Name of the first model, None if there is none.
        last_id: Name of the last model.
    """

    data: list[ModelInfo]
    has_more: bool | None = None
    first_id: str | None = None
    last_id: str | None = None

    # How the pages after this one are asked for, and whether this one was asked for backwards.
    _following: Callable[[dict[str, Any]], Any] = PrivateAttr()
    _backwards: bool = PrivateAttr(default=False)

    def has_next_page(self) -> bool:
        """Whether `get_next_page` has something to get."""
        return bool(self.has_more and self.data)

    def _next(self) -> Any:
        if not self.has_next_page():
            raise RuntimeError("there is no next page; ask `has_next_page()` first")
        if self._backwards:
            return self._following({"before_id": self.first_id})
        return self._following({"after_id": self.last_id})


class SyncPage(BasePage):
    """A page; iterating over it goes on to the pages that follow."""

    def __iter__(self) -> Iterator[ModelInfo]:  # type: ignore[override]
        for page in self.iter_pages():
            yield from page.data

    def iter_pages(self) -> Iterator[SyncPage]:
        """This page and all that follow."""
        page = self
        yield page
        while page.has_next_page():
            page = page.get_next_page()
            yield page

    def get_next_page(self) -> SyncPage:
        """The page after this one. Raises `RuntimeError` if there is none."""
        page: SyncPage = self._next()
        return page


class AsyncPage(BasePage):
    """As `SyncPage`, for `async for`."""

    async def __aiter__(self) -> AsyncGenerator[ModelInfo, None]:
        async for page in self.iter_pages():
            for model in page.data:
                yield model

    async def iter_pages(self) -> AsyncGenerator[AsyncPage, None]:
        """This page and all that follow."""
        page = self
        yield page
        while page.has_next_page():
            page = await page.get_next_page()
            yield page

    async def get_next_page(self) -> AsyncPage:
        """The page after this one. Raises `RuntimeError` if there is none."""
        page: AsyncPage = await self._next()
        return page


class AsyncPaginator:
    """What `models.list` of the asynchronous client returns: await it, or iterate over it."""

    def __init__(self, get: Callable[[], Awaitable[AsyncPage]]) -> None:
        self._get = get

    def __await__(self) -> Generator[Any, None, AsyncPage]:
        return self._get().__await__()

    async def __aiter__(self) -> AsyncGenerator[ModelInfo, None]:
        async for model in await self._get():
            yield model

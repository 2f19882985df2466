"""Pages of the list of models."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from typing import Any

from pydantic import PrivateAttr

from tenuto.client.types import BaseModel, ModelInfo


class BasePage(BaseModel):
    """Attributes common to both types of page.

    Attributes:
        data: Models of this page, newest first.
        has_more: Whether more models follow in the requested direction.
        first_id: Name of the first model; None on an empty page.
        last_id: Name of the last model; None on an empty page.
    """

    data: list[ModelInfo]
    has_more: bool | None = None
    first_id: str | None = None
    last_id: str | None = None

    # Fetches a page, given a change of this page's query.
    _fetch: Callable[[dict[str, Any]], Any] = PrivateAttr()
    # Whether this page was requested with `before_id`.
    _backwards: bool = PrivateAttr(default=False)

    def has_next_page(self) -> bool:
        """Return whether `get_next_page` can be called."""
        return bool(self.has_more and self.data)

    def _next(self) -> Any:
        if not self.has_next_page():
            raise RuntimeError("this is the last page; check `has_next_page()` first")
        if self._backwards:
            return self._fetch({"before_id": self.first_id})
        return self._fetch({"after_id": self.last_id})


class SyncPage(BasePage):
    """A page; iterating over it yields the models of this page and of all that follow."""

    def __iter__(self) -> Iterator[ModelInfo]:  # type: ignore[override]
        for page in self.iter_pages():
            yield from page.data

    def iter_pages(self) -> Iterator[SyncPage]:
        """Yield this page and all that follow."""
        page = self
        yield page
        while page.has_next_page():
            page = page.get_next_page()
            yield page

    def get_next_page(self) -> SyncPage:
        """Fetch the next page. Raises `RuntimeError` on the last page."""
        page: SyncPage = self._next()
        return page


class AsyncPage(BasePage):
    """`SyncPage` for `async for`."""

    async def __aiter__(self) -> AsyncGenerator[ModelInfo, None]:
        async for page in self.iter_pages():
            for model in page.data:
                yield model

    async def iter_pages(self) -> AsyncGenerator[AsyncPage, None]:
        """Yield this page and all that follow."""
        page = self
        yield page
        while page.has_next_page():
            page = await page.get_next_page()
            yield page

    async def get_next_page(self) -> AsyncPage:
        """Fetch the next page. Raises `RuntimeError` on the last page."""
        page: AsyncPage = await self._next()
        return page


class AsyncPaginator:
    """The result of `AsyncModels.list`: await it for one page, or iterate over all models."""

    def __init__(self, get: Callable[[], Awaitable[AsyncPage]]) -> None:
        self._get = get

    def __await__(self) -> Generator[Any, None, AsyncPage]:
        return self._get().__await__()

    async def __aiter__(self) -> AsyncGenerator[ModelInfo, None]:
        async for model in await self._get():
            yield model

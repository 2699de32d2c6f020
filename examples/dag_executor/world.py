"""The world of the example: both stub servers and the node types that talk to them, opened and closed together."""

from __future__ import annotations

from contextlib import ExitStack, closing
from types import TracebackType
from typing import Self

from examples.dag_executor.executor import NodeType
from examples.dag_executor.nodes.ai import AiNode
from examples.dag_executor.nodes.code import CodeNode
from examples.dag_executor.nodes.http import HttpNode
from examples.dag_executor.nodes.plugin import PluginNode
from examples.dag_executor.stub_provider import StubProvider
from examples.dag_executor.stub_web import StubWeb


class World:
    """`with World(seed) as world: Executor(world.node_types)`; the servers and clients are closed on the way out."""

    def __init__(self, seed: int) -> None:
        self.provider = StubProvider(seed)
        self.web = StubWeb()
        self.node_types: dict[str, NodeType] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            opening.enter_context(self.provider)
            opening.enter_context(self.web)
            ai = opening.enter_context(closing(AiNode(self.provider.url)))
            http = opening.enter_context(closing(HttpNode(self.web.url)))
            self.node_types = {"ai": ai, "http": http, "code": CodeNode(), "plugin": PluginNode()}
            self._open = opening.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

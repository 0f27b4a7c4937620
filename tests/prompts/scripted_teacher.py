"""A teacher that says what a test tells it, behind the real gateway."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from prompts.teachers.base import Exchange, Repair, TeacherRequest
from prompts.teachers.cache import TeacherCache
from prompts.teachers.gateway import Gateway
from prompts.teachers.limits import Limits
from prompts.teachers.prices import Budget, Price
from prompts.teachers.settings import GatewaySettings

Script = Callable[[TeacherRequest, Repair | None], Mapping[str, Any] | str]


class Scripted:
    """A provider whose replies a function makes; it keeps what it was asked and told."""

    teacher_id = "scripted:model"
    is_offline = False
    is_inside = True
    max_output_tokens = 1024
    reasoning_tokens = 0
    sampling = "{}"
    batch = None

    def __init__(self, script: Script) -> None:
        self._script = script
        self.requests: list[TeacherRequest] = []
        self.repairs: list[Repair] = []

    async def send(
        self,
        request: TeacherRequest,
        *,
        repair: Repair | None,
        idempotency_key: str,
        max_output_tokens: int | None = None,
    ) -> Exchange:
        self.requests.append(request)
        if repair is not None:
            self.repairs.append(repair)
        said = self._script(request, repair)
        text = said if isinstance(said, str) else json.dumps(said)
        return Exchange(text, 100, 50)

    async def aclose(self) -> None:
        return None


def scripted_gateway(provider: Scripted, max_in_flight: int = 200) -> Gateway:
    settings = GatewaySettings(max_in_flight=max_in_flight)
    return Gateway(
        provider, Price(2.0, 8.0), Budget(10.0), TeacherCache(None), Limits(settings.limits()), settings
    )  # fmt: skip

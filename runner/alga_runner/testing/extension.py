"""An installed extension, as a test uses it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Unpack

import anyio

from ..errors import AlgaError
from ..execution.observation import Observation
from ..models import Manifest
from .data import Storage
from .explain import add_notes
from .gateway import CallOptions
from .installed import Installed
from .response import Response
from .runs import Loop, Run, Runs, Schedule


class Call:
    """One call for ``Extension.call_many``, with the arguments of ``Extension.call``.

    ext.call_many([Call("POST", "/items", json={"name": "first"})])
    """

    def __init__(self, method: str, path: str, **options: Unpack[CallOptions]) -> None:
        self.method = method
        self.path = path
        self.options = options


class Extension:
    """An extension that a tenant has installed; ``Alga.install`` returns it. Calls go through the server's gateway."""

    removed: bool = False
    """It was uninstalled."""

    def __init__(self, loop: Loop, install: Installed) -> None:
        self._loop = loop
        self._install = install

    def __repr__(self) -> str:
        return repr(self._install)

    @property
    def tenant(self) -> str:
        """The tenant that installed it."""
        return self._install.tenant_id

    @property
    def install_id(self) -> str:
        """The install's id."""
        return self._install.install_id

    @property
    def manifest(self) -> Manifest:
        """Its bundle's manifest."""
        return self._install.manifest

    @property
    def storage(self) -> Storage:
        """What it stores."""
        return Storage(self._loop, self._install)

    def call(self, method: str, path: str, *, check: bool = True, **options: Unpack[CallOptions]) -> Response:
        """Call an endpoint and return the response, of any status.

            response = ext.call("POST", "/items", json={"name": "first"})

        An execution that ends without a response raises its ``ExecutionError``; with ``check=False`` that is the
        response's ``error``. Raises ``EndpointNotFound``, and ``ExtensionNotAvailable`` for an install that is disabled
        or gone.
        """
        __tracebackhide__ = True
        return self.call_many([Call(method, path, **options)], check=check)[0]

    def call_many(self, calls: Iterable[Call | tuple[str, str]], *, check: bool = True) -> list[Response]:
        """Make all ``calls`` concurrently, and return their responses in the order of the calls.

            responses = ext.call_many([("POST", "/setup")] * 20)

        ``("POST", "/setup")`` is short for ``Call("POST", "/setup")``. Raises the errors of ``call``, the first one.
        """
        __tracebackhide__ = True
        whole_calls = [call if isinstance(call, Call) else Call(*call) for call in calls]
        outcomes = self._loop.run(partial(self._call_all, whole_calls))
        refused = next((outcome for outcome in outcomes if isinstance(outcome, Exception)), None)
        responses = [
            Response(outcome, f"{call.method} {call.path} of {self._install.described()}")
            for call, outcome in zip(whole_calls, outcomes, strict=True)
            if isinstance(outcome, Observation)
        ]
        self._loop.note(responses)
        if refused is not None:
            raise add_notes(refused) if isinstance(refused, AlgaError) else refused
        if check:
            for response in responses:
                response.raise_for_error()
        return responses

    def schedules(self) -> list[Schedule]:
        """The install's schedules as an admin sees them, oldest first."""
        __tracebackhide__ = True
        return [Schedule.model_validate(schedule) for schedule in self._loop.run(self._install.schedules)]

    def runs(self) -> Runs:
        """Every run of the install's schedules so far, in the order in which they fired."""
        return Runs(run for run in self._loop.runs() if run.install_id == self.install_id)

    def run_now(self, schedule: Schedule | str) -> Run:
        """Run a schedule (or the one with this id) immediately, and return its run when it has ended or was skipped.

            run = ext.run_now(ext.schedules()[0])

        A run that fails does not raise. Raises ``AdminRefused`` for a schedule that the install does not have.
        """
        __tracebackhide__ = True
        schedule_id = schedule if isinstance(schedule, str) else schedule.id
        run = self._loop.run(partial(self._install.run_now, schedule_id))
        self._loop.note([run.response] if run.response else [])
        return run

    def grant(self, *capabilities: str) -> None:
        """Grant more capabilities. Raises ``AdminRefused`` for one that the manifest does not declare."""
        __tracebackhide__ = True
        self._loop.run(partial(self._install.grant, *capabilities))

    def revoke(self, *capabilities: str) -> None:
        """Take capabilities back."""
        __tracebackhide__ = True
        self._loop.run(partial(self._install.revoke, *capabilities))

    def configure(self, config: Mapping[str, str]) -> None:
        """Replace the install's configuration."""
        __tracebackhide__ = True
        self._loop.run(partial(self._install.configure, config))

    def disable(self) -> None:
        """Switch the install off."""
        __tracebackhide__ = True
        self._loop.run(self._install.disable)

    def enable(self) -> None:
        """Switch the install on again."""
        __tracebackhide__ = True
        self._loop.run(self._install.enable)

    def uninstall(self) -> None:
        """Remove the install with its grants and schedules."""
        __tracebackhide__ = True
        self._loop.run(self._install.uninstall)
        self.removed = True

    async def _call_all(self, calls: list[Call]) -> list[Observation | Exception]:
        """The observation of each call, or the error of one that was refused before anything ran."""
        outcomes: dict[int, Observation | Exception] = {}

        async def carry_out(number: int, call: Call) -> None:
            try:
                outcomes[number] = await self._install.call(call.method, call.path, **call.options)
            except Exception as error:  # noqa: BLE001 - a task group would raise it in a group
                outcomes[number] = error

        async with anyio.create_task_group() as tasks:
            for number, call in enumerate(calls):
                tasks.start_soon(carry_out, number, call)
        return [outcomes[number] for number in range(len(calls))]

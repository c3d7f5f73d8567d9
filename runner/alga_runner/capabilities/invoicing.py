"""``cap:invoice.manual.create``: invoices made by hand (docs/capabilities.md, "Invoices").

The Alga server owns the rules (alga-contract 4); its messages and field errors reach the guest unchanged.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from ..alga import answers
from ..models.business import CreatedInvoice, CreateManualInvoiceInput
from .operation import READ_CODES, Execution, Operation

CAPABILITY = "cap:invoice.manual.create"

_INVOICE = TypeAdapter(CreatedInvoice)


async def _create(execution: Execution, invoice: CreateManualInvoiceInput) -> CreatedInvoice:
    members = invoice.model_dump(by_alias=True, exclude_none=True)
    answer = await execution.ask("invoicing.createManualInvoice", members)
    answers.done(answer)
    return answers.parsed(_INVOICE, answer, "invoice")


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(
        name="invoicing.create-manual-invoice",
        capability=CAPABILITY,
        summary="Create an invoice for a client of the tenant.",
        input=CreateManualInvoiceInput,
        output=CreatedInvoice,
        run=_create,
        codes=READ_CODES,
        repeatable=lambda _execution, _input: False,
    ),
)

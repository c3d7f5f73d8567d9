//! Invoices for work.

use crate::alga::extension::types::{CreateManualInvoiceInput, ExecuteRequest, ManualInvoiceItemInput};
use crate::alga::extension::{invoicing, services};
use crate::notes::client;
use crate::response::{Answer, body_of, json_response, problem, text_of};
use serde_json::{Value, json};

/// `POST /invoice` with `client`, `service` and `quantity`: an invoice with one line.
pub fn invoice(request: &ExecuteRequest) -> Answer {
    let body = body_of(request);
    let client = client(&text_of(&body, "client")?)?;
    let Some(service) = services::get_service(&text_of(&body, "service")?)? else {
        return problem(404, "There is no such service.");
    };
    let line = ManualInvoiceItemInput {
        service_id: service.service_id,
        quantity: body["quantity"].as_f64().unwrap_or(1.0),
        description: service.service_name,
        rate: service.default_rate,
        is_discount: None,
        discount_type: None,
        applies_to_item_id: None,
        applies_to_service_id: None,
    };
    let result = invoicing::create_manual_invoice(&CreateManualInvoiceInput {
        client_id: client.client_id,
        items: vec![line],
        invoice_date: None,
        due_date: None,
        po_number: None,
    });
    if !result.success {
        let fields: Value = serde_json::from_str(&result.field_errors.unwrap_or_default()).unwrap_or_default();
        let error = json!({ "message": result.error, "fieldErrors": fields });
        return Err(json_response(422, &json!({ "error": error })));
    }
    let created = json!({ "number": result.invoice_number, "status": result.status, "total": result.total });
    Ok(json_response(201, &created))
}

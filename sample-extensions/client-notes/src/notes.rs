//! Notes on clients, one value of the storage for each client.

use crate::alga::extension::types::{
    ClientSummary, ClientsListInput, ExecuteRequest, ExecuteResponse, StorageEntry, StorageError,
};
use crate::alga::extension::{clients, storage, user_v2};
use crate::response::{Answer, body_of, json_response, refused, text_of};
use serde_json::{Value, json};

const NAMESPACE: &str = "notes";

/// `GET /clients`: the first page of clients.
pub fn clients() -> Answer {
    let first = ClientsListInput { search: None, include_inactive: None, page: None, page_size: None };
    let page = clients::list_clients(&first)?;
    let named: Vec<Value> = page
        .items
        .iter()
        .map(|client| json!({ "id": client.client_id, "name": client.client_name }))
        .collect();
    Ok(json_response(200, &json!({ "clients": named, "total": page.total_count })))
}

/// `GET /notes`: all notes. A page of the storage ends with the key after which the next one begins.
pub fn list() -> Answer {
    let mut notes = json!({});
    let mut cursor = None;
    loop {
        let page = storage::list_entries(NAMESPACE, cursor.as_deref())?;
        let Some(last) = page.last() else { break };
        cursor = Some(last.key.clone());
        for entry in page {
            notes[&entry.key] = lines_of(&entry);
        }
    }
    Ok(json_response(200, &json!({ "notes": notes })))
}

/// `POST /notes` with `client` and `text`: one more note on a client.
pub fn add(request: &ExecuteRequest) -> Answer {
    let body = body_of(request);
    let (id, text) = (text_of(&body, "client")?, text_of(&body, "text")?);
    let client = client(&id)?;
    let (mut lines, revision) = match storage::get(NAMESPACE, &id) {
        Ok(entry) => (lines_of(&entry), entry.revision),
        Err(StorageError::Missing) => (json!([]), None),
        Err(error) => return Err(error.into()),
    };
    let author = user_v2::get_user().map(|user| user.user_name).ok();
    if let Some(lines) = lines.as_array_mut() {
        lines.push(json!({ "text": text, "by": author }));
    }
    // With the revision, a note that another request added meanwhile is not lost.
    let entry = StorageEntry {
        namespace: NAMESPACE.into(),
        key: id,
        value: serde_json::to_vec(&lines).unwrap_or_default(),
        revision,
    };
    let stored = storage::put(&entry)?;
    let answer = json!({ "client": client.client_name, "revision": stored.revision });
    Ok(json_response(201, &answer))
}

/// `POST /notes/delete` with `client`: without its notes.
pub fn delete(request: &ExecuteRequest) -> Answer {
    storage::delete(NAMESPACE, &text_of(&body_of(request), "client")?)?;
    Ok(json_response(200, &json!({ "deleted": true })))
}

/// The client with that id; a response where the tenant has none.
pub fn client(id: &str) -> Result<ClientSummary, ExecuteResponse> {
    match clients::get_client(id)? {
        Some(client) => Ok(client),
        None => Err(refused(404, "There is no such client.")),
    }
}

fn lines_of(entry: &StorageEntry) -> Value {
    serde_json::from_slice(&entry.value).unwrap_or_default()
}

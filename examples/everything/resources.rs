//! The resources, their template, and what they hold.

use rmcp::{
    ErrorData,
    model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate},
};
use serde_json::json;

use crate::simple::{IMAGE, text_resource};

/// Every resource in a fixed order.
pub(crate) fn list() -> Vec<Resource> {
    let resource = |uri: &str, name: &str, kind: &str| {
        Resource::new(uri, name).with_description("For tests").with_mime_type(kind)
    };
    vec![
        resource("test://static-text", "Static text", "text/plain"),
        resource("test://static-binary", "Static image", "image/png"),
        resource("test://watched-resource", "Watched resource", "text/plain"),
    ]
}

/// Every resource template.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new("test://template/{id}/data", "Data by identifier")
            .with_description("Text that shows the identifier")
            .with_mime_type("application/json"),
    ]
}

/// Answers `resources/read`.
///
/// # Errors
///
/// Resource not found, with the URI as data.
pub(crate) fn read(uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let contents = match uri {
        "test://static-text" => {
            text_resource(uri, "text/plain", "This is the content of the static text resource.")
        }
        "test://watched-resource" => text_resource(uri, "text/plain", "Watched content."),
        "test://static-binary" => ResourceContents::BlobResourceContents {
            uri: uri.to_owned(),
            mime_type: Some("image/png".to_owned()),
            blob: IMAGE.to_owned(),
            meta: None,
        },
        _ => {
            let id =
                uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
            let Some(id) = id else {
                return Err(ErrorData::resource_not_found(
                    format!("there is no resource {uri}"),
                    Some(json!({ "uri": uri })),
                ));
            };
            let text =
                json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            text_resource(uri, "application/json", &text.to_string())
        }
    };
    Ok(ReadResourceResult::new(vec![contents]))
}

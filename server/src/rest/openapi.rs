//! What the OpenAPI document says besides what stands at each handler.

use std::collections::BTreeMap;

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{IntoParams, IntoResponses, Modify, OpenApi, PartialSchema, ToSchema};

use super::error::Refusal;

/// The document, before the handlers are added.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Syncline",
        description = "Documents in rooms, for backends, scripts and apps that poll. Writes go through the same log, rules and merge as those of the sockets.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    components(schemas(Refusal)),
    modifiers(&Token)
)]
pub(super) struct Document;

struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        openapi.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// Says of the operations of a batch, as `serde` holds them to it, that they have no other members.
pub(super) fn close_operations(openapi: &mut utoipa::openapi::OpenApi) {
    let components = openapi.components.get_or_insert_default();
    let Some(RefOr::T(Schema::OneOf(operations))) = components.schemas.get_mut("Operation") else { return };
    for operation in &mut operations.items {
        if let RefOr::T(Schema::Object(operation)) = operation {
            operation.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        }
    }
}

/// Every refusal there is, for any request.
const REFUSALS: [(&str, &str); 11] = [
    ("400", "The request is malformed."),
    ("401", "There is no token, or it does not hold."),
    ("403", "The token does not allow this."),
    ("404", "The document does not exist."),
    ("412", "The document is not as the request expects it."),
    ("413", "The request, or what it would make, is too large."),
    ("415", "The body is not application/json."),
    ("422", "The request is well formed, and makes no sense here."),
    ("429", "Too many requests; `Retry-After` says when to try again."),
    ("500", "The server cannot read or write a record."),
    ("503", "The server cannot answer now; `Retry-After` says when to try again."),
];

/// The refusals, for an operation's responses.
pub(super) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let refusal = || ContentBuilder::new().schema(Some(Ref::from_schema_name("Refusal"))).build();
        let response = |&(status, description): &(&str, &str)| {
            let mut response =
                ResponseBuilder::new().description(description).content("application/json", refusal());
            if matches!(status, "429" | "503") {
                let seconds = ObjectBuilder::new().schema_type(Type::Integer).build();
                let header =
                    HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds to wait.")).build();
                response = response.header("Retry-After", header);
            }
            (status.to_owned(), RefOr::T(response.build()))
        };
        REFUSALS.iter().map(response).collect()
    }
}

/// `*`, or tags, quoted or not.
struct Tags;

impl PartialSchema for Tags {
    fn schema() -> RefOr<Schema> {
        let pattern = r#"^(\*|("[0-9]+"|[0-9]+)(, ("[0-9]+"|[0-9]+))*)$"#;
        ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build().into()
    }
}

impl ToSchema for Tags {}

/// A header of reads.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)]
pub(super) struct IfNoneMatch {
    /// Tags that the reader has already.
    #[param(rename = "If-None-Match", required = false, value_type = Tags, inline)]
    if_none_match: Option<String>,
}

/// A header of writes.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)]
pub(super) struct IfMatch {
    /// The document must have one of these tags; with `*`, it must exist.
    #[param(rename = "If-Match", required = false, value_type = Tags, inline)]
    if_match: Option<String>,
}

/// A header of writes.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)]
pub(super) struct IfNoneMatchAny {
    /// The document must have none of these tags; with `*`, it must not exist.
    #[param(rename = "If-None-Match", required = false, value_type = Tags, inline)]
    if_none_match: Option<String>,
}

/// A header of writes.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)]
pub(super) struct IdempotencyKey {
    /// Sent again with the same key, the request has no further effect, and the same answer.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]+$",
        nullable = false
    )]
    idempotency_key: Option<String>,
}

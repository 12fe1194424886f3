//! The API's own description: OpenAPI, made from the handlers, and a page to browse it that loads nothing from elsewhere.

use std::sync::Arc;

use axum::Router;
use axum::extract::Extension;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::security::{ClientCredentials, Scopes};
use utoipa::openapi::security::{Flow, HttpAuthScheme, HttpBuilder, OAuth2, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder, SecurityRequirement};

use super::media::API_VERSION;
use super::problem::Problem;
use crate::app::App;
use sluice_model::Permission;

/// Where the document stands.
const PATH: &str = "/openapi.json";

/// The document as it is served.
#[derive(Clone)]
pub struct Document(Arc<str>);

impl Document {
    /// Completes what the handlers say with what all of them have in common.
    pub fn new(mut api: OpenApi) -> Self {
        api.info.title = "Sluice".into();
        api.info.version = API_VERSION.into();
        api.info.description = Some(INTRODUCTION.into());
        api.servers = None;
        let components = api.components.get_or_insert_default();
        components.schemas.insert("Problem".into(), <Problem as utoipa::PartialSchema>::schema());
        let scopes = Permission::ALL.map(|permission| (permission.as_str(), meaning(permission)));
        let flow = Flow::ClientCredentials(ClientCredentials::new("/oauth2/token", Scopes::from_iter(scopes)));
        components.add_security_scheme("oauth2", SecurityScheme::OAuth2(OAuth2::new([flow])));
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let basic = HttpBuilder::new().scheme(HttpAuthScheme::Basic).build();
        components.add_security_scheme("basic", SecurityScheme::Http(basic));
        for (path, item) in &mut api.paths.paths {
            let changing = [&mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
            let of = [&mut item.get, &mut item.head, &mut item.options].into_iter().chain(changing);
            for operation in of.flatten() {
                complete(path, operation);
            }
        }
        Self(api.to_pretty_json().expect("a document of ours is JSON").into())
    }
}

const INTRODUCTION: &str = "Moves a lender's data into a new lending platform: register a migration, load records, \
    validate, import, verify counts.\n\nEvery failure is a problem document (RFC 9457) with a stable `code`. Answers \
    hold reference ids, codes and figures; only reading staged records gives records.\n\nGet a token with \
    `POST /oauth2/token`, and send it as `Authorization: Bearer`.";

fn meaning(permission: Permission) -> &'static str {
    match permission {
        Permission::Read => "Observe everything, change nothing",
        Permission::Migrate => "Register, load, validate, import and purge",
        Permission::Approve => "Approve plugins",
        Permission::Admin => "Run the server",
    }
}

/// Adds what every operation may answer, and that it takes a token.
fn complete(path: &str, operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        // A parameter that need not be there is absent, and never null.
        if let RefOr::T(parameter) = parameter
            && let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
            && let SchemaType::Array(types) = &object.schema_type
            && let [one, Type::Null] = types.as_slice()
        {
            object.schema_type = SchemaType::Type(one.clone());
        }
    }
    let responses = &mut operation.responses.responses;
    let mut add = |status: &str, description: &str| {
        responses.entry(status.into()).or_insert_with(|| {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            let response = ResponseBuilder::new().description(description);
            RefOr::T(response.content("application/problem+json", content).build())
        });
    };
    add("500", "The server could not go on.");
    if operation.request_body.is_some() {
        add("413", "The body, or a record in it, is larger than it may be.");
    }
    if operation.security.is_some() {
        return;
    }
    operation.security = Some(
        ["bearer", "oauth2"].map(|scheme| SecurityRequirement::new(scheme, Vec::<String>::new())).into_iter().collect(),
    );
    add("400", "The request cannot be understood.");
    add("401", "No token, or one that does not hold.");
    add("403", "The client lacks the permission, or the grant for a domain.");
    add("406", "The client accepts nothing that can be answered.");
    add("429", "The client asks for too much at once: `Retry-After` says when to try again.");
    add("503", "The server is about to stop, or an issuer of tokens cannot be reached.");
    if path.contains('{') {
        add("404", "There is no such thing, or it is another tenant's.");
    }
}

/// This description
#[utoipa::path(
    get, path = "/openapi.json", tag = "Monitoring", operation_id = "readDescription", security(()),
    responses((status = 200, body = Object)),
)]
pub async fn document(Extension(document): Extension<Document>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.0.to_string()).into_response()
}

/// The page at `/docs`: Swagger UI, from our own binary.
pub fn pages() -> Router<Arc<App>> {
    // Its validator badge would send the document's address to another server.
    let config = utoipa_swagger_ui::Config::from(PATH).validator_url("none").try_it_out_enabled(true);
    utoipa_swagger_ui::SwaggerUi::new("/docs").config(config).into()
}

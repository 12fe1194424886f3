//! OpenAPI document of the API, generated from the handlers, and a page to browse it that loads nothing from other servers.

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

use crate::app::AsyncApp;
use crate::http::problem::Problem;
use crate::http::request::media::API_VERSION;
use sluice_codes::{CodeDefinition, CodePlace};
use sluice_model::Permission;

/// Path of the document.
const PATH: &str = "/openapi.json";

/// The document as it is served.
#[derive(Clone)]
pub struct OpenApiDocument(Arc<str>);

impl OpenApiDocument {
    /// Completes the handlers' descriptions with the common parts.
    pub fn new(mut api: OpenApi) -> Self {
        api.info.title = "Sluice".into();
        api.info.version = API_VERSION.into();
        api.info.description = Some(INTRODUCTION.into());
        api.servers = None;
        let components = api.components.get_or_insert_default();
        components.schemas.insert("Problem".into(), problem_schema());
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
        Self(api.to_pretty_json().expect("an OpenAPI document is JSON").into())
    }
}

const INTRODUCTION: &str = "Moves a lender's data into a new lending platform: register a migration, load records, \
    validate, import, verify counts.\n\nEvery failure is a problem document (RFC 9457) with a stable `code`, which \
    `GET /problems/{code}` explains. Answers contain reference ids, codes and figures. Only the routes for staged records return records.\n\nGet a token with \
    `POST /oauth2/token`, and send it as `Authorization: Bearer`.";

/// Returns the schema of a problem document, with every code that it can have.
fn problem_schema() -> RefOr<Schema> {
    let mut schema = <Problem as utoipa::PartialSchema>::schema();
    if let RefOr::T(Schema::Object(problem)) = &mut schema
        && let Some(RefOr::T(Schema::Object(code))) = problem.properties.get_mut("code")
    {
        let of_problems = |definition: &&CodeDefinition| {
            let CodeDefinition { places, .. } = definition;
            [CodePlace::Problem, CodePlace::Job, CodePlace::Upload].iter().any(|place| places.contains(place))
        };
        let codes = sluice_codes::all().iter().filter(of_problems);
        code.enum_values = Some(codes.map(|definition| definition.code.as_str().into()).collect());
    }
    schema
}

fn meaning(permission: Permission) -> &'static str {
    match permission {
        Permission::Audit => "Read counts, logs, issues, the trail and evidence, and no record",
        Permission::Read => "Read everything, change nothing",
        Permission::Migrate => "Register, load, validate, import and purge",
        Permission::Approve => "Approve plugins",
        Permission::Admin => "Run the server",
    }
}

/// Adds the responses that every operation can give, and the need for a token.
fn complete(path: &str, operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        // An optional parameter is absent and never null.
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
    add("500", "The server failed.");
    if operation.request_body.is_some() {
        add("413", "The body, or a record in it, is too large.");
    }
    if operation.security.is_some() {
        return;
    }
    operation.security = Some(
        ["bearer", "oauth2"].map(|scheme| SecurityRequirement::new(scheme, Vec::<String>::new())).into_iter().collect(),
    );
    add("400", "The request is malformed.");
    add("401", "The token is missing or not valid.");
    add("403", "The client lacks the permission, or the grant for a domain.");
    add("406", "The client accepts none of the available media types.");
    add("429", "The client has sent too many requests. `Retry-After` is the time to wait.");
    add("503", "The server is stopping, or cannot reach the issuer of tokens.");
    if path.contains('{') {
        add("404", "It does not exist, or belongs to another tenant.");
    }
}

/// Read this description
#[utoipa::path(
    get, path = "/openapi.json", tag = "Monitoring", operation_id = "readDescription", security(()),
    responses((status = 200, body = Object)),
)]
pub async fn document(Extension(document): Extension<OpenApiDocument>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.0.to_string()).into_response()
}

/// Returns the routes of the page at `/docs`: Swagger UI, embedded in the binary.
pub fn pages() -> Router<AsyncApp> {
    // The validator badge would send the document's address to another server.
    let config = utoipa_swagger_ui::Config::from(PATH).validator_url("none").try_it_out_enabled(true);
    utoipa_swagger_ui::SwaggerUi::new("/docs").config(config).into()
}

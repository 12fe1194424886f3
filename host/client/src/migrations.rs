//! Calls about mappers, migrations and issues.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::client::SluiceClient;
use crate::error::ClientError;
use crate::upload::{BodyChunks, ResultTally};
use crate::upload_format::UploadFormat;

/// Path of the migrations.
pub const MIGRATIONS_PATH: &str = "/migration-assistance/migrations";

/// A mapper that migrations can use.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MapperView {
    /// Name, such as `berka`.
    pub name: String,
    /// Version.
    pub version: String,
    /// SHA-256 of its component, in hexadecimal digits.
    pub digest: String,
    /// Sources that it maps, in upload order.
    pub sources: Vec<SourceView>,
    /// Entity types that it produces.
    pub entity_types: Vec<String>,
}

/// A source of a mapper.
#[derive(Clone, Debug, Deserialize)]
pub struct SourceView {
    /// Name, such as `client`.
    pub name: String,
}

/// A migration: the members that the command reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationView {
    /// Reference id.
    pub reference_id: Uuid,
    /// Digest of its mapper.
    pub mapper_digest: Option<String>,
}

/// A page of a list.
#[derive(Clone, Debug, Deserialize)]
pub struct PageView<T> {
    /// Items of this page.
    pub items: Vec<T>,
    /// Number of items on all pages.
    pub total: u64,
}

/// An issue of one record.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IssueView {
    /// Entity type or source.
    pub entity_type: String,
    /// Reference id of the record, if it has one.
    pub reference_id: Option<Uuid>,
    /// Line of the upload, from 1, if the issue is about a line.
    pub line: Option<u64>,
    /// `error` or `warning`.
    pub severity: String,
    /// Code.
    pub code: String,
    /// Field.
    pub field: String,
    /// Code of the rule, if a rule was broken.
    pub rule: Option<String>,
}

#[derive(Deserialize)]
struct MapperListView {
    items: Vec<MapperView>,
}

impl SluiceClient {
    /// Returns the mappers that the client's migrations can use.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`].
    pub async fn mappers(&self) -> Result<Vec<MapperView>, ClientError> {
        self.get::<MapperListView>("/migration-assistance/mappers").await.map(|list| list.items)
    }

    /// Returns a migration.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`].
    pub async fn migration(&self, migration: Uuid) -> Result<MigrationView, ClientError> {
        self.get(&format!("{MIGRATIONS_PATH}/{migration}")).await
    }

    /// Registers a migration of these components, with a mapper named by its name or digest. `target` is the name of a
    /// platform, or none for the embedded one.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`].
    pub async fn register(
        &self,
        components: &[impl AsRef<str>],
        mapper: &str,
        target: Option<&str>,
    ) -> Result<MigrationView, ClientError> {
        let components: Vec<&str> = components.iter().map(AsRef::as_ref).collect();
        let body = json!({"components": components, "mapper": mapper, "target": target});
        self.send_json(Method::POST, MIGRATIONS_PATH, &body).await
    }

    /// Replaces the mapper of a migration by the one with this name or digest.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`].
    pub async fn set_mapper(&self, migration: Uuid, mapper: &str) -> Result<MigrationView, ClientError> {
        let path = format!("{MIGRATIONS_PATH}/{migration}/mapper");
        self.send_json(Method::PUT, &path, &json!({"mapper": mapper})).await
    }

    /// Uploads the records of a source and counts their results. `progress` is called now and then with the number of
    /// produced bytes and of received results.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient::upload`].
    pub async fn upload_source(
        &self,
        migration: Uuid,
        source: &str,
        format: &UploadFormat,
        chunks: BodyChunks,
        progress: impl FnMut(u64, u64),
    ) -> Result<ResultTally, ClientError> {
        self.upload(&format!("{MIGRATIONS_PATH}/{migration}/sources/{source}"), format, chunks, progress).await
    }

    /// Returns a page of a migration's issues. `filter` holds query parameters, such as `("phase", "validate")` or
    /// `("limit", "100")`.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`]. Also fails with [`ClientError::InvalidQuery`].
    pub async fn issues(&self, migration: Uuid, filter: &[(&str, &str)]) -> Result<PageView<IssueView>, ClientError> {
        let query = serde_urlencoded::to_string(filter)?;
        self.get(&format!("{MIGRATIONS_PATH}/{migration}/issues?{query}")).await
    }
}

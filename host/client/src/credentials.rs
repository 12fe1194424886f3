//! Files with the credentials of an API client.

use std::path::Path;

use sluice_keys::Credentials;

use crate::error::ClientError;

/// Reads a file that holds `id:secret`.
///
/// # Errors
///
/// Fails if the file cannot be read ([`ClientError::UnreadableCredentials`]) or holds something else
/// ([`ClientError::InvalidCredentials`]).
pub fn read_credentials(file: &Path) -> Result<Credentials, ClientError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| ClientError::UnreadableCredentials { file: file.to_owned(), source: error })?;
    Credentials::parse(&text).ok_or_else(|| ClientError::InvalidCredentials { file: file.to_owned() })
}

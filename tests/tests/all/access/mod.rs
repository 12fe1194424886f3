//! Access to the API and to stored data: permissions, tokens, privacy and erasure.

mod erasure;
mod privacy;
mod routes;
mod tokens;

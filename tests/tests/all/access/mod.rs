//! Access to the API and to stored data: permissions, domains, labels, tokens, privacy and erasure.

mod domains;
mod erasure;
mod labels;
mod privacy;
mod routes;
mod tokens;

//! Access to the API and to stored data: permissions, tenants, tokens, privacy and erasure.

mod erasure;
mod privacy;
mod reference_grants;
mod routes;
mod tenants;
mod tokens;
mod two_clients;

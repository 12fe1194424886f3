//! Access to the API and to stored data: permissions, domains, labels, tenants, tokens, privacy and erasure.

mod domains;
mod erasure;
mod labels;
mod privacy;
mod reference_grants;
mod routes;
mod tenants;
mod tokens;
mod two_clients;

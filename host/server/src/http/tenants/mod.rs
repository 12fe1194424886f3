//! Grants of an operator between two tenants.

pub mod reference_grants;

//! Domains of entity types in the API's paths.

/// First path segment of each entity type.
const DOMAIN_PATHS: &[(&str, &str)] = &[
    ("counterparties", "counterparty-management"),
    ("collaterals", "collateral-management"),
    ("collateral-objects", "collateral-management"),
    ("agreements", "financing-solution"),
    ("disbursements", "financing-execution"),
    ("repayments", "financing-execution"),
    ("additional-repayments", "financing-execution"),
    ("debit-mandates", "financing-execution"),
    ("payment-administrations", "administrate"),
];

/// Returns the first path segment of an entity type.
pub fn domain_path(entity_type: &str) -> Option<&'static str> {
    DOMAIN_PATHS.iter().find(|(name, _)| *name == entity_type).map(|(_, path)| *path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_domains() {
        assert!(DOMAIN_PATHS.iter().all(|(_, path)| sluice_model::Domain::by_path(path).is_some()));
    }
}

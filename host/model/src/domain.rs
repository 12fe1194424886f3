//! Domains, and their paths in the Migration Assistance API.

/// A domain. The API calls it `component`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Name of the domain in the API.
    pub component: &'static str,
    /// First segment of the domain's paths.
    pub path: &'static str,
}

/// Every domain, in the order in which the API lists them.
pub const DOMAINS: &[Domain] = &[
    Domain { component: "Counterparties", path: "counterparty-management" },
    Domain { component: "Collaterals", path: "collateral-management" },
    Domain { component: "FinancingSolutions", path: "financing-solution" },
    Domain { component: "FinancingExecutions", path: "financing-execution" },
    Domain { component: "Administrate", path: "administrate" },
];

impl Domain {
    /// Returns the domain with this name, or `None`.
    pub fn by_component(component: &str) -> Option<&'static Domain> {
        DOMAINS.iter().find(|domain| domain.component == component)
    }

    /// Returns the domain whose paths start with this segment, or `None`.
    pub fn by_path(path: &str) -> Option<&'static Domain> {
        DOMAINS.iter().find(|domain| domain.path == path)
    }
}

//! The domains, and where the Migration Assistance API puts each.

/// A domain: `component` in the API's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// As the API names it.
    pub component: &'static str,
    /// First segment of its paths.
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
    /// The domain with this name.
    pub fn by_component(component: &str) -> Option<&'static Domain> {
        DOMAINS.iter().find(|domain| domain.component == component)
    }

    /// The domain whose paths start with this segment.
    pub fn by_path(path: &str) -> Option<&'static Domain> {
        DOMAINS.iter().find(|domain| domain.path == path)
    }
}

//! Deliberate defects, for `make torture-defects` to find: only with the feature `defects`, named by `SLUICE_DEFECT`.

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// An import notes that it has come one record further than it has.
    PositionAhead,
    /// What a crash has left at the journal's end is not cut off, and the next group is written behind it.
    TornTail,
}

/// Whether this server has the defect.
#[cfg(feature = "defects")]
pub fn has(defect: Defect) -> bool {
    let name = match defect {
        Defect::PositionAhead => "position-ahead",
        Defect::TornTail => "torn-tail",
    };
    std::env::var_os("SLUICE_DEFECT").is_some_and(|given| given == name)
}

/// Never: this server is built without.
#[cfg(not(feature = "defects"))]
pub const fn has(_: Defect) -> bool {
    false
}

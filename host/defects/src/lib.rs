//! Deliberate defects that `make torture-defects` has to find. Only the feature `defects` compiles them in. The
//! environment variable `SLUICE_DEFECT` selects one.

/// A deliberate defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// An import stores a position that is one record ahead.
    PositionAhead,
    /// Recovery does not truncate a torn group at the journal's end, and the next group follows it.
    TornTail,
}

/// Returns true if this server has the defect.
#[cfg(feature = "defects")]
pub fn has(defect: Defect) -> bool {
    let name = match defect {
        Defect::PositionAhead => "position-ahead",
        Defect::TornTail => "torn-tail",
    };
    std::env::var_os("SLUICE_DEFECT").is_some_and(|given| given == name)
}

/// Returns false: this server is built without the feature `defects`.
#[cfg(not(feature = "defects"))]
pub const fn has(_: Defect) -> bool {
    false
}

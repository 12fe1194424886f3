//! Codes that answers, result lines, ledgers and logs contain: one definition each, in the TOML files of `table/`.
//!
//! The documents, `sluice explain`, the route `/problems/{code}` and the API's description read these definitions.
//!
//! ```
//! let definition = sluice_codes::find("not_validated").unwrap();
//! assert_eq!(definition.code, "NOT_VALIDATED");
//! assert!(definition.places.contains(&sluice_codes::CodePlace::Problem));
//! ```

mod definition;
mod search;
mod table;
mod text;

pub use definition::{CodeDefinition, CodePlace, ResponsibleParty};
pub use search::{all, find, find_exact, similar};

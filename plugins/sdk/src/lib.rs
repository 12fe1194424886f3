//! SDK for Sluice plugins in Rust.
//!
//! A **mapper** maps records of an old system to domain records: implement [`Mapper`] and name the type in [`mapper!`].
//! A **domain plugin** defines and validates the records of a domain: implement [`Domain`] and name the type in
//! [`domain!`]. A **platform plugin** plans the API calls that enter records into a platform: implement [`Platform`]
//! and name the type in [`platform!`]. The SDK packs and unpacks the records that cross the sandbox's boundary. With
//! [`harness`], the same code runs natively in `cargo test`.
//!
//! Readers of issues and logs may not see personal data. So a plugin names only codes and fields that its description
//! declares ([`Description::code`], [`Description::reads`], [`Domain::CODES`], and the tables of fields of a domain).
//! The host does not show other names, and the harness panics at them.

pub mod bindings;
pub mod domain;
pub mod harness;
pub mod identifiers;
pub mod json;
pub mod mapper;
pub mod platform;
pub mod schedule;
pub mod schema;

mod batch;
mod check;
mod countries;
mod dates;
mod decimals;
mod declarations;
mod field_names;
mod ids;
mod issues;
mod json_schema;
mod lookup;
mod member_search;
mod money;
mod numbers;
mod panic_hook;
mod path;
mod records;
mod scalars;
mod serializer;
mod str_eq;
mod writer;

pub use batch::BatchBuilder;
pub use countries::is_country;
pub use dates::{Date, date, months_after, yymmdd};
pub use domain::{Checked, Domain, Findings, Generated, Related, TallyRule};
pub use ids::{Id, reference_id};
pub use issues::{Finding, finding, invalid, missing, rule};
pub use mapper::{Description, Mapper, Output};
pub use money::{Amount, HALF_UP, Money, fraction_digits, from_minor_units, minor_units};
pub use numbers::{digits, number};
pub use platform::Platform;
pub use records::{Record, Wanted};

/// The items that a small plugin needs, for one `use`.
pub mod prelude {
    pub use crate::{
        Amount, Date, Description, Finding, Id, Mapper, Money, Output, Record, Wanted, date, digits, finding, invalid,
        mapper, missing, months_after, number, reads, reference_id, rule, writes, yymmdd,
    };
    pub use rust_decimal::Decimal;
    pub use serde_json::json;
}

/// Items that the export macros use.
#[doc(hidden)]
pub mod __export {
    pub use crate::bindings;
    pub use crate::domain::driver as domain;
    pub use crate::mapper::driver as mapper;
    pub use crate::panic_hook::install_panic_hook;
    pub use crate::platform::driver as platform;
}

pub use serde;

/// Derives `Deserialize` for the structs and enums inside, so that a plugin can read them from JSON.
#[macro_export]
macro_rules! reads {
    ($($item:item)*) => {
        $(#[derive($crate::serde::Deserialize)] #[serde(crate = "sluice_sdk::serde")] $item)*
    };
}

/// Derives `Serialize` for the structs and enums inside, so that a plugin can write them as JSON.
#[macro_export]
macro_rules! writes {
    ($($item:item)*) => {
        $(#[derive($crate::serde::Serialize)] #[serde(crate = "sluice_sdk::serde")] $item)*
    };
}

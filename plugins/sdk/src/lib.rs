//! What a Sluice plugin is written with.
//!
//! A **mapper** turns records of an old system into domain records: implement [`Mapper`] and name the
//! type in [`mapper!`]. A **domain plugin** says which records a domain takes and what is wrong with
//! them: implement [`Domain`] and name the type in [`domain!`]. A **platform plugin** plans the calls by which
//! records get into a platform that is entered through its API: implement [`Platform`] and name the type in
//! [`platform!`]. How records cross the sandbox's
//! boundary is not the author's concern; with [`harness`] the same code runs natively in `cargo test`.
//!
//! What a plugin says of records is read by people who may not see them, so it says it in words that it has
//! declared: codes and names of fields in its description ([`Description::code`], [`Description::reads`],
//! [`Domain::CODES`] and its tables of fields). The host shows nothing else, and the harness stops at it.

pub mod bindings;
pub mod domain;
pub mod harness;
pub mod json;
pub mod mapper;
pub mod platform;
pub mod schedule;
pub mod schema;

mod batch;
mod check;
mod countries;
mod dates;
mod declared;
mod ids;
mod issues;
mod log;
mod lookup;
mod money;
mod names;
mod numbers;
mod path;
mod peek;
mod records;
mod scalars;
mod serializer;
mod words;
mod writer;

pub use batch::BatchBuilder;
pub use dates::{date, months_after, yymmdd};
pub use domain::{Checked, Domain, Findings, Generated, Related};
pub use ids::{Id, reference_id};
pub use issues::{Finding, finding, invalid, missing, rule};
pub use mapper::{Description, Mapper, Output};
pub use money::{Amount, HALF_UP, Money, from_minor_units, minor_units};
pub use numbers::{digits, number};
pub use platform::Platform;
pub use records::{Record, Wanted};

/// Everything a small plugin needs in one `use`.
pub mod prelude {
    pub use crate::{
        Amount, Description, Finding, Id, Mapper, Money, Output, Record, Wanted, date, digits, finding, invalid,
        mapper, missing, months_after, number, reads, reference_id, rule, writes, yymmdd,
    };
    pub use jiff::civil::Date;
    pub use rust_decimal::Decimal;
    pub use serde_json::json;
}

#[doc(hidden)]
pub mod __export {
    pub use crate::bindings;
    pub use crate::domain::driver as domain;
    pub use crate::log::install_panic_hook;
    pub use crate::mapper::driver as mapper;
    pub use crate::platform::driver as platform;
}

pub use serde;

/// The fields of a record that a plugin reads: the structs and enums inside can be parsed from JSON.
#[macro_export]
macro_rules! reads {
    ($($item:item)*) => {
        $(#[derive($crate::serde::Deserialize)] #[serde(crate = "sluice_sdk::serde")] $item)*
    };
}

/// The records that a plugin writes: the structs and enums inside can be put as JSON.
#[macro_export]
macro_rules! writes {
    ($($item:item)*) => {
        $(#[derive($crate::serde::Serialize)] #[serde(crate = "sluice_sdk::serde")] $item)*
    };
}

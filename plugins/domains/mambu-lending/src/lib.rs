//! The calls by which clients and loans get into Mambu, in the fewest calls or with a call for every step.

mod clients;
mod describe;
mod loans;
mod records;
mod repaid;
mod terms;

use sluice_sdk::Platform;
use sluice_sdk::bindings::platform::exports::sluice::plugin::calling::Description;
use sluice_sdk::platform::{Bundle, Plan};
use sluice_sdk::prelude::*;

/// Mambu, API version 2.
pub struct Mambu;

impl Platform for Mambu {
    fn describe() -> Description {
        describe::description()
    }

    fn plan(bundle: &Bundle, plan: &mut Plan) -> Result<(), Finding> {
        match bundle.kind {
            describe::CLIENTS => clients::plan(bundle, plan),
            _ => loans::plan(bundle, plan),
        }
    }
}

sluice_sdk::platform!(Mambu);

/// Our ids as Mambu takes them: at most 32 characters.
fn short(id: Id) -> String {
    id.0.as_simple().to_string()
}

//! Platform plugin for Mambu: it plans the API calls for clients and loans, with as few calls as possible or with one
//! call per step.

mod balance;
mod clients;
mod describe;
mod loans;
mod records;
mod terms;

use sluice_sdk::Platform;
use sluice_sdk::bindings::platform::exports::sluice::plugin::calling::Description;
use sluice_sdk::platform::{Bundle, Plan};
use sluice_sdk::prelude::*;

/// The platform plugin for Mambu's API version 2.
pub struct MambuLending;

impl Platform for MambuLending {
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

sluice_sdk::platform!(MambuLending);

/// Returns an id in the form that Mambu accepts: at most 32 characters.
fn mambu_id(id: Id) -> String {
    id.0.as_simple().to_string()
}

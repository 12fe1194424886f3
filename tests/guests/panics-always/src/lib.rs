//! A mapper that panics at every record.

use sluice_guest_kit::sluice_sdk::prelude::*;

pub struct Guest;

impl Mapper for Guest {
    fn describe() -> Description {
        sluice_guest_kit::description("panics-always")
    }

    fn map(_record: &Record, _out: &mut Output) -> Result<(), Finding> {
        panic!("cannot map anything")
    }
}

mapper!(Guest);

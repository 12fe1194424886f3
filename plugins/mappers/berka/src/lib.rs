//! The sample mapper: the tables of the Berka bank (PKDD'99), and of a synthetic bank in the same shape.
//!
//! | source | becomes |
//! |---|---|
//! | `client` | counterparties |
//! | `loan` | agreements, with one facility each; the borrower is the account's owner, from `disp` |
//! | `order` | debit mandates, where it pays a loan |
//! | `trans` | repayments, disbursements and additional repayments, where it belongs to a loan |
//! | `property`, `pledge` | collateral objects and collaterals; the real bank has neither |
//! | `disp` | nothing: it is there to be looked up |
//! | `district`, `account`, `card` | nothing: the platform has no place for them |

mod collateral;
mod domain;
mod lending;
mod payments;
mod people;
mod source;

use sluice_sdk::prelude::*;

/// The mapper.
pub struct Berka;

impl Mapper for Berka {
    fn describe() -> Description {
        Description::new("berka", env!("CARGO_PKG_VERSION"))
            .source("district", &["A1"])
            .reads::<source::District>()
            .source("client", &["client_id"])
            .reads::<source::Client>()
            .source("account", &["account_id"])
            .reads::<source::Account>()
            .source("disp", &["disp_id"])
            .reads::<source::Disp>()
            .lookup("account_id")
            .source("card", &["card_id"])
            .reads::<source::Card>()
            .source("loan", &["loan_id"])
            .reads::<source::Loan>()
            .lookup("account_id")
            .source("order", &["order_id"])
            .reads::<source::Order>()
            .source("trans", &["trans_id"])
            .reads::<source::Trans>()
            .source("property", &["property_id"])
            .reads::<source::Property>()
            .source("pledge", &["pledge_id"])
            .reads::<source::Pledge>()
            .produces("counterparties")
            .produces("agreements")
            .produces("debit-mandates")
            .produces("repayments")
            .produces("disbursements")
            .produces("additional-repayments")
            .produces("collateral-objects")
            .produces("collaterals")
            .code("BERKA_AMBIGUOUS_LOAN")
            .code("BERKA_LOOKUP_ONLY")
            .code("BERKA_NOT_A_LOAN_PAYMENT")
            .code("BERKA_NOT_MIGRATED")
            .code("BERKA_UNKNOWN_SOURCE")
    }

    fn lookups(record: &Record, wanted: &mut Wanted) {
        match record.source {
            "loan" => lending::wants(record, wanted),
            "order" => payments::order_wants(record, wanted),
            "trans" => payments::trans_wants(record, wanted),
            _ => {}
        }
    }

    fn map(record: &Record, out: &mut Output) -> Result<(), Finding> {
        match record.source {
            "client" => people::client(record, out),
            "loan" => lending::loan(record, out),
            "order" => payments::order(record, out),
            "trans" => payments::trans(record, out),
            "property" => collateral::property(record, out),
            "pledge" => collateral::pledge(record, out),
            "disp" => skip_sound::<source::Disp>(record, out, "BERKA_LOOKUP_ONLY"),
            "account" => skip_sound::<source::Account>(record, out, "BERKA_NOT_MIGRATED"),
            "card" => skip_sound::<source::Card>(record, out, "BERKA_NOT_MIGRATED"),
            "district" => skip_sound::<source::District>(record, out, "BERKA_NOT_MIGRATED"),
            _ => Err(finding("BERKA_UNKNOWN_SOURCE", "")),
        }
    }
}

#[cfg(not(feature = "part"))]
mapper!(Berka);

/// Skips a record, but only one that can be read: what is broken is said to be broken.
fn skip_sound<'a, T: sluice_sdk::serde::Deserialize<'a>>(
    record: &Record<'a>,
    out: &mut Output,
    code: &str,
) -> Result<(), Finding> {
    record.parse::<T>()?;
    out.skip(code);
    Ok(())
}

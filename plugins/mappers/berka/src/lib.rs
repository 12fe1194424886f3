//! Sample mapper for the tables of the Berka bank (PKDD'99) and of a synthetic bank of the same shape.
//!
//! | source | mapped to |
//! |---|---|
//! | `client` | counterparties |
//! | `loan` | agreements with one facility each; the borrower is the account's owner, found in `disp` |
//! | `order` | debit mandates, for orders that pay a loan |
//! | `trans` | repayments, disbursements and additional repayments, for transactions of a loan |
//! | `property`, `pledge` | collateral objects and collaterals; only the synthetic bank has them |
//! | `disp` | nothing; it is used for lookups |
//! | `district`, `account`, `card` | nothing; the platform has no such records |

mod collateral;
mod domain;
mod lending;
mod payments;
mod people;
mod source;

use sluice_sdk::prelude::*;

/// The sample mapper.
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
            "loan" => lending::loan_lookups(record, wanted),
            "order" => payments::order_lookups(record, wanted),
            "trans" => payments::trans_lookups(record, wanted),
            _ => {}
        }
    }

    fn map(record: &Record, out: &mut Output) -> Result<(), Finding> {
        match record.source {
            "client" => people::map_client(record, out),
            "loan" => lending::map_loan(record, out),
            "order" => payments::map_order(record, out),
            "trans" => payments::map_trans(record, out),
            "property" => collateral::map_property(record, out),
            "pledge" => collateral::map_pledge(record, out),
            "disp" => skip_readable::<source::Disp>(record, out, "BERKA_LOOKUP_ONLY"),
            "account" => skip_readable::<source::Account>(record, out, "BERKA_NOT_MIGRATED"),
            "card" => skip_readable::<source::Card>(record, out, "BERKA_NOT_MIGRATED"),
            "district" => skip_readable::<source::District>(record, out, "BERKA_NOT_MIGRATED"),
            _ => Err(finding("BERKA_UNKNOWN_SOURCE", "")),
        }
    }
}

#[cfg(not(feature = "part"))]
mapper!(Berka);

/// Skips a record that fits `T`. A record that does not fit gets an issue.
fn skip_readable<'a, T: sluice_sdk::serde::Deserialize<'a>>(
    record: &Record<'a>,
    out: &mut Output,
    code: &str,
) -> Result<(), Finding> {
    record.parse::<T>()?;
    out.skip(code);
    Ok(())
}

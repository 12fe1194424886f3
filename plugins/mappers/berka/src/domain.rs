//! The platform's records, with the fields that the bank can fill.

use std::borrow::Cow;

use sluice_sdk::prelude::*;

writes! {
    /// A counterparty.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Counterparty {
        pub(crate) reference_id: Id,
        pub(crate) r#type: &'static str,
        pub(crate) initials: &'static str,
        #[serde(serialize_with = "digits")]
        pub(crate) surname: u64,
        pub(crate) birth_date: Date,
        pub(crate) external_references: [ExternalReference; 1],
    }

    /// A reference to a record of another system.
    pub(crate) struct ExternalReference {
        pub(crate) system: &'static str,
        #[serde(serialize_with = "digits")]
        pub(crate) value: u64,
    }

    /// An agreement.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Agreement {
        pub(crate) reference_id: Id,
        #[serde(serialize_with = "digits")]
        pub(crate) agreement_number: u64,
        pub(crate) status: &'static str,
        pub(crate) start_date: Date,
        pub(crate) borrowers: [Borrower; 1],
        pub(crate) facilities: [Facility; 1],
    }

    /// A borrower of an agreement.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Borrower {
        pub(crate) counterparty_reference_id: Id,
        pub(crate) role: &'static str,
    }

    /// A facility of an agreement.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Facility {
        pub(crate) reference_id: Id,
        pub(crate) amount: Money<'static>,
        pub(crate) term_in_months: u32,
        pub(crate) repayment_method: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(crate) first_repayment_date: Option<Date>,
        pub(crate) withdrawal: &'static str,
    }

    /// A debit mandate.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct DebitMandate {
        pub(crate) reference_id: Id,
        pub(crate) agreement_reference_id: Id,
        pub(crate) counterparty_reference_id: Id,
        pub(crate) scheme: &'static str,
        pub(crate) r#type: &'static str,
        #[serde(serialize_with = "digits")]
        pub(crate) debtor_account: u64,
        pub(crate) amount: Money<'static>,
    }

    /// A repayment.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Repayment {
        pub(crate) reference_id: Id,
        pub(crate) agreement_reference_id: Id,
        pub(crate) effective_date: Date,
        pub(crate) amount: Money<'static>,
    }

    /// A disbursement.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Disbursement {
        pub(crate) reference_id: Id,
        pub(crate) agreement_reference_id: Id,
        pub(crate) facility_reference_id: Id,
        pub(crate) effective_date: Date,
        pub(crate) amount: Money<'static>,
    }

    /// An additional repayment.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct AdditionalRepayment {
        pub(crate) reference_id: Id,
        pub(crate) agreement_reference_id: Id,
        pub(crate) status: &'static str,
        pub(crate) r#type: &'static str,
        pub(crate) effective_date: Date,
        pub(crate) amount: Money<'static>,
    }

    /// A collateral object.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct CollateralObject<'a> {
        pub(crate) reference_id: Id,
        pub(crate) r#type: &'static str,
        pub(crate) address: Address<'a>,
        pub(crate) valuations: [Valuation; 1],
    }

    /// An address.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Address<'a> {
        pub(crate) r#type: &'static str,
        pub(crate) address_line1: Cow<'a, str>,
        pub(crate) postal_code: Cow<'a, str>,
        pub(crate) locality: Cow<'a, str>,
        pub(crate) country_code: &'static str,
    }

    /// A valuation of a collateral object.
    pub(crate) struct Valuation {
        pub(crate) date: Date,
        pub(crate) value: Money<'static>,
    }

    /// A collateral.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Collateral {
        pub(crate) reference_id: Id,
        pub(crate) r#type: &'static str,
        pub(crate) collateral_definition_code: &'static str,
        pub(crate) agreement_reference_ids: [Id; 1],
        pub(crate) counterparty_reference_ids: [Id; 1],
        pub(crate) registered_mortgage_entries: [MortgageEntry; 1],
    }

    /// An entry of a registered mortgage.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct MortgageEntry {
        pub(crate) is_already_pledged: bool,
        pub(crate) rank: u32,
        pub(crate) amount: Money<'static>,
        pub(crate) collateral_object_reference_id: Id,
    }
}

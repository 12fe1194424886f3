//! The platform's records, as far as the bank can fill them.

use std::borrow::Cow;

use sluice_sdk::prelude::*;

writes! {
    #[serde(rename_all = "camelCase")]
    pub struct Counterparty {
        pub reference_id: Id,
        pub r#type: &'static str,
        pub initials: &'static str,
        #[serde(serialize_with = "digits")]
        pub surname: u64,
        pub birth_date: Date,
        pub external_references: [ExternalReference; 1],
    }

    pub struct ExternalReference {
        pub system: &'static str,
        #[serde(serialize_with = "digits")]
        pub value: u64,
    }

    #[serde(rename_all = "camelCase")]
    pub struct Agreement {
        pub reference_id: Id,
        #[serde(serialize_with = "digits")]
        pub agreement_number: u64,
        pub status: &'static str,
        pub start_date: Date,
        pub borrowers: [Borrower; 1],
        pub facilities: [Facility; 1],
    }

    #[serde(rename_all = "camelCase")]
    pub struct Borrower {
        pub counterparty_reference_id: Id,
        pub role: &'static str,
    }

    #[serde(rename_all = "camelCase")]
    pub struct Facility {
        pub reference_id: Id,
        pub amount: Money<'static>,
        pub term_in_months: u32,
        pub repayment_method: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub first_repayment_date: Option<Date>,
        pub withdrawal: &'static str,
    }

    #[serde(rename_all = "camelCase")]
    pub struct DebitMandate {
        pub reference_id: Id,
        pub agreement_reference_id: Id,
        pub counterparty_reference_id: Id,
        pub scheme: &'static str,
        pub r#type: &'static str,
        #[serde(serialize_with = "digits")]
        pub debtor_account: u64,
        pub amount: Money<'static>,
    }

    #[serde(rename_all = "camelCase")]
    pub struct Repayment {
        pub reference_id: Id,
        pub agreement_reference_id: Id,
        pub effective_date: Date,
        pub amount: Money<'static>,
    }

    #[serde(rename_all = "camelCase")]
    pub struct Disbursement {
        pub reference_id: Id,
        pub agreement_reference_id: Id,
        pub facility_reference_id: Id,
        pub effective_date: Date,
        pub amount: Money<'static>,
    }

    #[serde(rename_all = "camelCase")]
    pub struct AdditionalRepayment {
        pub reference_id: Id,
        pub agreement_reference_id: Id,
        pub status: &'static str,
        pub r#type: &'static str,
        pub effective_date: Date,
        pub amount: Money<'static>,
    }

    #[serde(rename_all = "camelCase")]
    pub struct CollateralObject<'a> {
        pub reference_id: Id,
        pub r#type: &'static str,
        pub address: Address<'a>,
        pub valuations: [Valuation; 1],
    }

    #[serde(rename_all = "camelCase")]
    pub struct Address<'a> {
        pub r#type: &'static str,
        pub address_line1: Cow<'a, str>,
        pub postal_code: Cow<'a, str>,
        pub locality: Cow<'a, str>,
        pub country_code: &'static str,
    }

    pub struct Valuation {
        pub date: Date,
        pub value: Money<'static>,
    }

    #[serde(rename_all = "camelCase")]
    pub struct Collateral {
        pub reference_id: Id,
        pub r#type: &'static str,
        pub collateral_definition_code: &'static str,
        pub agreement_reference_ids: [Id; 1],
        pub counterparty_reference_ids: [Id; 1],
        pub registered_mortgage_entries: [MortgageEntry; 1],
    }

    #[serde(rename_all = "camelCase")]
    pub struct MortgageEntry {
        pub is_already_pledged: bool,
        pub rank: u32,
        pub amount: Money<'static>,
        pub collateral_object_reference_id: Id,
    }
}

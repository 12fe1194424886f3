//! The platform's records, as far as Mambu is told of them.

use std::borrow::Cow;

use sluice_sdk::prelude::*;
use sluice_sdk::schedule::Method;

reads! {
    pub struct ClientBundle<'a> {
        #[serde(borrow)]
        pub record: Counterparty<'a>,
    }

    #[serde(rename_all = "camelCase")]
    pub struct Counterparty<'a> {
        pub reference_id: Id,
        #[serde(borrow)]
        pub r#type: Cow<'a, str>,
        #[serde(borrow)]
        pub initials: Option<Cow<'a, str>>,
        #[serde(borrow)]
        pub first_name: Option<Cow<'a, str>>,
        #[serde(borrow)]
        pub surname: Option<Cow<'a, str>>,
        pub birth_date: Option<Date>,
        #[serde(borrow, default)]
        pub email_addresses: Vec<Cow<'a, str>>,
        #[serde(borrow, default)]
        pub telephone_numbers: Vec<TelephoneNumber<'a>>,
        #[serde(borrow, default)]
        pub addresses: Vec<Address<'a>>,
    }

    pub struct TelephoneNumber<'a> {
        #[serde(borrow)]
        pub number: Option<Cow<'a, str>>,
    }

    #[serde(rename_all = "camelCase")]
    pub struct Address<'a> {
        #[serde(borrow)]
        pub address_line1: Cow<'a, str>,
        #[serde(borrow)]
        pub postal_code: Cow<'a, str>,
        #[serde(borrow)]
        pub locality: Cow<'a, str>,
        #[serde(borrow)]
        pub country_code: Cow<'a, str>,
    }

    #[serde(rename_all = "kebab-case")]
    pub struct LoanBundle<'a> {
        #[serde(borrow)]
        pub record: Agreement<'a>,
        #[serde(borrow)]
        pub disbursements: Vec<Disbursement<'a>>,
        #[serde(borrow)]
        pub repayments: Vec<Repayment<'a>>,
        #[serde(borrow)]
        pub additional_repayments: Vec<AdditionalRepayment<'a>>,
        #[serde(borrow)]
        pub debit_mandates: Vec<DebitMandate<'a>>,
    }

    #[serde(rename_all = "camelCase")]
    pub struct Agreement<'a> {
        pub reference_id: Id,
        pub status: Status,
        pub start_date: Date,
        pub borrowers: Vec<Borrower>,
        #[serde(borrow)]
        pub facilities: Vec<Facility<'a>>,
    }

    #[derive(PartialEq)]
    #[serde(rename_all = "lowercase")]
    pub enum Status {
        Draft,
        Active,
        Closed,
        Defaulted,
    }

    #[serde(rename_all = "camelCase")]
    pub struct Borrower {
        pub counterparty_reference_id: Id,
        pub role: Role,
    }

    #[derive(PartialEq)]
    #[serde(rename_all = "lowercase")]
    pub enum Role {
        Main,
        Co,
    }

    #[serde(rename_all = "camelCase")]
    pub struct Facility<'a> {
        pub reference_id: Id,
        #[serde(borrow)]
        pub amount: Money<'a>,
        pub interest: Option<Interest>,
        pub term_in_months: u32,
        pub repayment_method: Method,
        pub first_repayment_date: Option<Date>,
    }

    pub struct Interest {
        pub percentage: Option<Amount>,
    }

    #[serde(rename_all = "camelCase")]
    pub struct Disbursement<'a> {
        pub reference_id: Id,
        pub facility_reference_id: Id,
        pub effective_date: Date,
        #[serde(borrow)]
        pub amount: Money<'a>,
    }

    #[serde(rename_all = "camelCase")]
    pub struct Repayment<'a> {
        pub reference_id: Id,
        pub effective_date: Date,
        #[serde(borrow)]
        pub amount: Money<'a>,
    }

    #[serde(rename_all = "camelCase")]
    pub struct AdditionalRepayment<'a> {
        pub reference_id: Id,
        #[serde(borrow)]
        pub status: Cow<'a, str>,
        pub effective_date: Date,
        #[serde(borrow)]
        pub amount: Money<'a>,
        #[serde(borrow)]
        pub administration_fee: Option<Money<'a>>,
    }

    #[serde(rename_all = "camelCase")]
    pub struct DebitMandate<'a> {
        #[serde(borrow)]
        pub debtor_account: Cow<'a, str>,
    }
}

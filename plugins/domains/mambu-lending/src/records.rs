//! The fields of the platform's records that plans read.

use std::borrow::Cow;

use sluice_sdk::prelude::*;
use sluice_sdk::schedule::Method;

reads! {
    /// A bundle of kind `clients`.
    pub(crate) struct ClientBundle<'a> {
        #[serde(borrow)]
        pub(crate) record: Counterparty<'a>,
    }

    /// A counterparty.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Counterparty<'a> {
        pub(crate) reference_id: Id,
        #[serde(borrow)]
        pub(crate) r#type: Cow<'a, str>,
        #[serde(borrow)]
        pub(crate) initials: Option<Cow<'a, str>>,
        #[serde(borrow)]
        pub(crate) first_name: Option<Cow<'a, str>>,
        #[serde(borrow)]
        pub(crate) surname: Option<Cow<'a, str>>,
        pub(crate) birth_date: Option<Date>,
        #[serde(borrow, default)]
        pub(crate) email_addresses: Vec<Cow<'a, str>>,
        #[serde(borrow, default)]
        pub(crate) telephone_numbers: Vec<TelephoneNumber<'a>>,
        #[serde(borrow, default)]
        pub(crate) addresses: Vec<Address<'a>>,
    }

    /// A telephone number of a counterparty.
    pub(crate) struct TelephoneNumber<'a> {
        #[serde(borrow)]
        pub(crate) number: Option<Cow<'a, str>>,
    }

    /// An address of a counterparty.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Address<'a> {
        #[serde(borrow)]
        pub(crate) address_line1: Cow<'a, str>,
        #[serde(borrow)]
        pub(crate) postal_code: Cow<'a, str>,
        #[serde(borrow)]
        pub(crate) locality: Cow<'a, str>,
        #[serde(borrow)]
        pub(crate) country_code: Cow<'a, str>,
    }

    /// A bundle of kind `loans`: an agreement and its companion records.
    #[serde(rename_all = "kebab-case")]
    pub(crate) struct LoanBundle<'a> {
        #[serde(borrow)]
        pub(crate) record: Agreement<'a>,
        #[serde(borrow)]
        pub(crate) disbursements: Vec<Disbursement<'a>>,
        #[serde(borrow)]
        pub(crate) repayments: Vec<Repayment<'a>>,
        #[serde(borrow)]
        pub(crate) additional_repayments: Vec<AdditionalRepayment<'a>>,
        #[serde(borrow)]
        pub(crate) debit_mandates: Vec<DebitMandate<'a>>,
    }

    /// An agreement.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Agreement<'a> {
        pub(crate) reference_id: Id,
        pub(crate) status: Status,
        pub(crate) start_date: Date,
        pub(crate) borrowers: Vec<Borrower>,
        #[serde(borrow)]
        pub(crate) facilities: Vec<Facility<'a>>,
    }

    /// The status of an agreement.
    #[derive(PartialEq)]
    #[serde(rename_all = "lowercase")]
    pub(crate) enum Status {
        Draft,
        Active,
        Closed,
        Defaulted,
    }

    /// A borrower of an agreement.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Borrower {
        pub(crate) counterparty_reference_id: Id,
        pub(crate) role: Role,
    }

    /// The role of a borrower.
    #[derive(PartialEq)]
    #[serde(rename_all = "lowercase")]
    pub(crate) enum Role {
        Main,
        Co,
    }

    /// A facility of an agreement.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Facility<'a> {
        pub(crate) reference_id: Id,
        #[serde(borrow)]
        pub(crate) amount: Money<'a>,
        pub(crate) interest: Option<Interest>,
        pub(crate) term_in_months: u32,
        pub(crate) repayment_method: Method,
        pub(crate) first_repayment_date: Option<Date>,
    }

    /// The interest of a facility.
    pub(crate) struct Interest {
        pub(crate) percentage: Option<Amount>,
    }

    /// A disbursement of a facility.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Disbursement<'a> {
        pub(crate) reference_id: Id,
        pub(crate) facility_reference_id: Id,
        pub(crate) effective_date: Date,
        #[serde(borrow)]
        pub(crate) amount: Money<'a>,
    }

    /// A repayment on an agreement.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Repayment<'a> {
        pub(crate) reference_id: Id,
        pub(crate) effective_date: Date,
        #[serde(borrow)]
        pub(crate) amount: Money<'a>,
    }

    /// An additional repayment on an agreement.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct AdditionalRepayment<'a> {
        pub(crate) reference_id: Id,
        #[serde(borrow)]
        pub(crate) status: Cow<'a, str>,
        pub(crate) effective_date: Date,
        /// Amount. The record may have `facilities` instead.
        #[serde(borrow)]
        pub(crate) amount: Option<Money<'a>>,
        #[serde(borrow)]
        pub(crate) facilities: Option<Vec<RepaidFacility<'a>>>,
        #[serde(borrow)]
        pub(crate) administration_fee: Option<Money<'a>>,
    }

    /// The part of an additional repayment that is for one facility.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct RepaidFacility<'a> {
        pub(crate) facility_reference_id: Id,
        #[serde(borrow)]
        pub(crate) amount: Money<'a>,
    }

    /// A debit mandate of an agreement.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct DebitMandate<'a> {
        #[serde(borrow)]
        pub(crate) debtor_account: Cow<'a, str>,
    }
}

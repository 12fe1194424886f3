//! Description of the plugin: its kinds, steps, settings, queries and codes.

use sluice_sdk::bindings::platform::exports::sluice::plugin::calling::{
    Companion, Description, Kind, Query, Setting, Step,
};

/// Name of the kind that plans clients, and of the query for clients.
pub(crate) const CLIENTS: &str = "clients";
/// Name of the kind that plans loans, and of the query for loans.
pub(crate) const LOANS: &str = "loans";

// Names of steps.
pub(crate) const CLIENT_CREATION: &str = "client-creation";
pub(crate) const SETTLEMENT_ACCOUNT: &str = "settlement-account";
pub(crate) const LOAN_CREATION: &str = "loan-creation";
pub(crate) const SETTLEMENT_LINK: &str = "settlement-link";
pub(crate) const SCHEDULE: &str = "schedule";
pub(crate) const APPROVAL: &str = "approval";
pub(crate) const DISBURSEMENT: &str = "disbursement";
pub(crate) const FEE: &str = "fee";
pub(crate) const REPAYMENT: &str = "repayment";

// Names of settings.
pub(crate) const PRODUCT_KEY: &str = "productKey";
pub(crate) const BRANCH_KEY: &str = "branchKey";
pub(crate) const FEE_KEY: &str = "feeKey";

/// Name of the query for transactions.
pub(crate) const TRANSACTIONS: &str = "transactions";

// Types of transactions in Mambu.
pub(crate) const DISBURSEMENT_TYPE: &str = "DISBURSEMENT";
pub(crate) const FEE_TYPE: &str = "FEE_APPLIED";
pub(crate) const REPAYMENT_TYPE: &str = "REPAYMENT";

// The plugin's own codes, for records that it cannot plan.
/// The counterparty is an organisation.
pub(crate) const ORGANISATION: &str = "MAMBU_ORGANISATION";
/// The agreement has repayments and several facilities, so the repayments cannot be allocated.
pub(crate) const TWO_FACILITIES: &str = "MAMBU_REPAID_ON_TWO_FACILITIES";
/// The repayments exceed the balance.
pub(crate) const OVERPAID: &str = "MAMBU_REPAID_MORE_THAN_OWED";
/// The schedule of the facility cannot be calculated.
pub(crate) const NO_SCHEDULE: &str = "MAMBU_NO_SCHEDULE";

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.into()).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(a, b)| (a.into(), b.into())).collect()
}

fn step(name: &str, method: &str, path: &str, after: &[&str]) -> Step {
    Step { name: name.into(), method: method.into(), path: path.into(), after: texts(after) }
}

fn companion(entity_type: &str) -> Companion {
    Companion { entity_type: entity_type.into(), field: "agreementReferenceId".into() }
}

fn kinds() -> Vec<Kind> {
    let clients = Kind {
        name: CLIENTS.into(),
        entity_type: "counterparties".into(),
        companions: vec![],
        fields: texts(&["type", "initials", "surname"]),
        steps: vec![step(CLIENT_CREATION, "POST", "/clients", &[])],
    };
    let before_posting = [LOAN_CREATION, SCHEDULE, APPROVAL, DISBURSEMENT];
    let loans = Kind {
        name: LOANS.into(),
        entity_type: "agreements".into(),
        companions: ["disbursements", "repayments", "additional-repayments", "debit-mandates"].map(companion).into(),
        fields: texts(&["facilities", "termInMonths", "amount", "borrowers"]),
        steps: vec![
            step(SETTLEMENT_ACCOUNT, "GET", "/deposits/{id}", &[]),
            step(LOAN_CREATION, "POST", "/loans", &[SETTLEMENT_ACCOUNT]),
            step(SETTLEMENT_LINK, "PATCH", "/loans/{id}", &[LOAN_CREATION]),
            step(SCHEDULE, "PUT", "/loans/{id}/schedule", &[LOAN_CREATION]),
            step(APPROVAL, "POST", "/loans/{id}:changeState", &[LOAN_CREATION, SETTLEMENT_LINK, SCHEDULE]),
            step(DISBURSEMENT, "POST", "/loans/{id}/disbursement-transactions", &[APPROVAL]),
            step(FEE, "POST", "/loans/{id}/fee-transactions", &before_posting),
            step(REPAYMENT, "POST", "/loans/{id}/repayment-transactions", &before_posting),
        ],
    };
    vec![clients, loans]
}

fn queries() -> Vec<Query> {
    let query = |name: &str, method: &str, path: &str, body: &str, id: &str, group: &str| Query {
        name: name.into(),
        method: method.into(),
        path: path.into(),
        body: body.into(),
        id: id.into(),
        group: group.into(),
        groups: vec![],
        amounts: vec![],
    };
    vec![
        query(CLIENTS, "GET", "/clients", "", "id", ""),
        Query {
            groups: pairs(&[
                ("PENDING_APPROVAL", "PENDING_APPROVAL"),
                ("APPROVED", "APPROVED"),
                ("ACTIVE", "ACTIVE"),
                // The platform determines arrears from the day on which it has the loan, so arrears are not compared.
                ("ACTIVE_IN_ARREARS", "ACTIVE"),
                ("CLOSED", "CLOSED"),
            ]),
            amounts: pairs(&[("loanAmount", "loanAmount"), ("principalBalance", "balances.principalBalance")]),
            ..query(LOANS, "GET", "/loans", "", "id", "accountState")
        },
        Query {
            groups: pairs(&[
                ("DISBURSEMENT", "DISBURSEMENT"),
                ("FEE_APPLIED", "FEE_APPLIED"),
                ("REPAYMENT", "REPAYMENT"),
            ]),
            amounts: pairs(&[("amount", "amount")]),
            ..query(
                TRANSACTIONS,
                "POST",
                "/loans/transactions:search",
                r#"{"filterCriteria":[{"field":"type","operator":"IN","values":["DISBURSEMENT","FEE_APPLIED","REPAYMENT"]}]}"#,
                "externalId",
                "type",
            )
        },
    ]
}

/// Returns the description of the plugin.
pub(crate) fn description() -> Description {
    let setting = |name: &str, required| Setting { name: name.into(), required };
    Description {
        name: "mambu".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        kinds: kinds(),
        settings: vec![setting(PRODUCT_KEY, true), setting(BRANCH_KEY, false), setting(FEE_KEY, false)],
        queries: queries(),
        headers: pairs(&[("Accept", "application/vnd.mambu.v2+json")]),
        idempotency_header: "Idempotency-Key".into(),
        error_codes: "errors[].errorReason".into(),
        already: texts(&[
            "CLIENT_ID_ALREADY_IN_USE",
            "ACCOUNT_ID_ALREADY_IN_USE",
            "EXTERNAL_ID_ALREADY_EXISTS",
            "ACCOUNT_ALREADY_LINKED",
            // A loan that is approved or disbursed cannot be approved or disbursed again.
            "INVALID_STATE_TRANSITION",
            "AMOUNT_MORE_THAN_CURRENT_AVAILABLE_AMOUNT",
        ]),
        busy: texts(&["BLOCKING_OPERATION_IN_PROGRESS", "DATA_IMPORT_IN_PROGRESS", "CLIENT_IN_MIGRATION"]),
        refusals: texts(REFUSALS),
        codes: texts(&[ORGANISATION, TWO_FACILITIES, OVERPAID, NO_SCHEDULE]),
        requests: texts(&[
            "The permitted number of calls per second and of concurrent calls for this migration, and the permitted \
             hours.",
            "The key of the loan product (productKey) and, if they are used, of the branch (branchKey) and of the \
             predefined fee (feeKey).",
            "An API user or API key with the permissions to create and read clients, to create, read, edit, approve \
             and disburse loans, to edit schedules, to apply fees and to post repayments, with value dates in the \
             past.",
            "The deposit accounts that settle loans, under the ids that mandates name as the debtor's account.",
            "A product that permits editing of schedules before approval, and accepts loans and value dates of the old \
             system.",
            "Confirmation that the environment can serve the number of calls that is stated under duration.",
        ]),
        notes: texts(&[
            "The schedule is edited before the loan is approved, because the schedule of an approved loan cannot be \
             edited.",
            "In the flow with the fewest calls, the creation of the loan names the settlement account, and a schedule \
             is edited only if the product would create a different one.",
            "Repayments close a loan that is closed in the old system. If some repayments are not migrated, the loan \
             stays active with the remaining balance.",
            "Fees and repayments are posted in the order of their value dates, because each settles the amounts due by \
             then.",
        ]),
    }
}

/// Codes of Mambu's final refusals. The host shows them to the operator.
const REFUSALS: &[&str] = &[
    "INVALID_CREDENTIALS",
    "INVALID_API_OPERATION",
    "INVALID_PARAMETERS",
    "METHOD_NOT_IMPLEMENTED",
    "INTERNAL_ERROR",
    "INVALID_PAGINATION_OFFSET_VALUE",
    "OUT_OF_BOUNDS_PAGINATION_OFFSET_VALUE",
    "INVALID_PAGINATION_LIMIT_VALUE",
    "OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE",
    "EXCESSIVE_INVALID_REQUESTS",
    "INVALID_LOAN_ACCOUNT_ID",
    "INVALID_AMOUNT",
    "INVALID_ACCOUNT_STATE",
    "EXCESS_REPAYMENT_ERROR",
    "INVALID_FIRST_REPAYMENT_DUE_DATE",
    "INVALID_INTEREST_RATE",
    "INVALID_INSTALLMENTS",
    "REPAYMENT_DATE_IN_THE_FUTURE_ERROR",
    "INVALID_DISBURSEMENT_DATE",
    "INVALID_ACCOUNT_STATE_FOR_REPAYMENTS",
    "INCONSISTENT_SCHEDULE_PRINCIPAL_DUE_WITH_LOAN_AMOUNT",
    "NEGATIVE_PRINCIPAL_FOR_INSTALLMENT",
    "INVALID_CLIENT_ID",
    "INVALID_CLIENT_KEY",
    "INVALID_BIRTH_DATE",
    "CLIENT_HAS_ACCOUNTS",
    "BACKDATE_BEFORE_ACTIVATION",
    "CANNOT_APPLY_FEE_ON_PAID_INSTALLMENT",
    "MISSING_REQUIRED_PARAMETER",
    "INVALID_JSON_SYNTAX",
    "PARAMETER_NOT_ALLOWED",
    "INVALID_SETTLEMENT_ACCOUNT_KEY",
    "INVALID_DEPOSIT_ACCOUNT_HOLDER",
    "INVALID_DEPOSIT_ACCOUNT_ID",
    "INVALID_PRODUCT_KEY",
    "INVALID_BRANCH_KEY",
    "INVALID_DATE_TIME_FORMAT",
    "INVALID_DATE_FORMAT",
    "INVALID_DUE_DATE",
    "FIRST_REPAYMENT_DATE_BEFORE_EXPECTED_DISBURSEMENT_DATE",
    "DISBURSEMENT_DATE_AFTER_LAST_REPAYMENT_DUE_DATE",
    "FEE_AMOUNT_MUST_BE_STRICTLY_POSITIVE",
    "INVALID_FEE_KEY",
    "INVALID_INSTALLMENT_NUMBER",
    "INVALID_TRANSACTION_ID",
    "TRANSACTION_ALREADY_ADJUSTED",
    "TRANSACTION_TYPE_DOES_NOT_ALLOW_ADJUSTMENT",
    "NOT_ADJUSTED_TRANSACTION_LOGGED_AFTER_CURRENT_ONE",
    "ACCOUNT_HAS_TRANSACTIONS",
    "ACCOUNT_HAS_REMAINING_BALANCE",
    "FIELD_NOT_ALLOWED",
    "FIELD_IS_NOT_EDITABLE",
    "OPERATION_NOT_ALLOWED_ON_FIELD",
    "INVALID_FILTER_SELECTION",
    "INVALID_FILTER_ELEMENT",
    "INVALID_FILTER_VALUES",
    "INVALID_IDEMPOTENCY_KEY",
    "IDEMPOTENCY_KEY_USED_WITH_ANOTHER_REQUEST",
    "UNSUPPORTED_MEDIA_TYPE",
    "NOT_ACCEPTABLE",
    "FEE_NOT_EDITABLE",
    "INVALID_GRACE_PERIOD",
    "CLIENT_NOT_FOUND",
];

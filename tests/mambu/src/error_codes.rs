//! What Mambu says when it refuses: its numbers and reasons, and the body they travel in.

use serde::Serialize;

/// A number and a reason of Mambu's. Tell them apart by the reason.
///
/// Mambu's numbers are used where a public source has them or the order of its published list leaves no
/// doubt. From 9001 on they are this stand-in's, so that nobody takes them for Mambu's. So are four reasons that
/// no published list has: those of idempotency keys and of media types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason(pub u32, pub &'static str);

macro_rules! reasons {
    ($($number:literal $name:ident)*) => {
        $(#[doc = concat!("Mambu's `", stringify!($name), "`.")] pub const $name: Reason = Reason($number, stringify!($name));)*
    };
}

reasons! {
    2 INVALID_CREDENTIALS
    3 INVALID_API_OPERATION
    4 INVALID_PARAMETERS
    5 METHOD_NOT_IMPLEMENTED
    6 INTERNAL_ERROR
    11 INVALID_PAGINATION_OFFSET_VALUE
    12 OUT_OF_BOUNDS_PAGINATION_OFFSET_VALUE
    13 INVALID_PAGINATION_LIMIT_VALUE
    14 OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE
    100 INVALID_LOAN_ACCOUNT_ID
    101 INVALID_AMOUNT
    105 INVALID_ACCOUNT_STATE
    110 EXCESS_REPAYMENT_ERROR
    116 INVALID_STATE_TRANSITION
    118 INVALID_FIRST_REPAYMENT_DUE_DATE
    120 INVALID_INTEREST_RATE
    121 INVALID_INSTALLMENTS
    124 REPAYMENT_DATE_IN_THE_FUTURE_ERROR
    125 INVALID_DISBURSEMENT_DATE
    128 INVALID_ACCOUNT_STATE_FOR_REPAYMENTS
    132 INCONSISTENT_SCHEDULE_PRINCIPAL_DUE_WITH_LOAN_AMOUNT
    301 INVALID_CLIENT_ID
    302 INVALID_CLIENT_KEY
    309 INVALID_BIRTH_DATE
    315 CLIENT_HAS_ACCOUNTS
    316 CLIENT_ID_ALREADY_IN_USE
    403 BACKDATE_BEFORE_ACTIVATION
    411 ACCOUNT_ID_ALREADY_IN_USE
    3753 CANNOT_APPLY_FEE_ON_PAID_INSTALLMENT
    9001 MISSING_REQUIRED_PARAMETER
    9002 INVALID_JSON_SYNTAX
    9003 PARAMETER_NOT_ALLOWED
    9004 EXTERNAL_ID_ALREADY_EXISTS
    9005 ACCOUNT_ALREADY_LINKED
    9006 INVALID_SETTLEMENT_ACCOUNT_KEY
    9007 INVALID_DEPOSIT_ACCOUNT_HOLDER
    9008 INVALID_DEPOSIT_ACCOUNT_ID
    9009 INVALID_PRODUCT_KEY
    9010 INVALID_BRANCH_KEY
    9011 INVALID_DATE_TIME_FORMAT
    9012 INVALID_DATE_FORMAT
    9013 INVALID_DUE_DATE
    9014 FIRST_REPAYMENT_DATE_BEFORE_EXPECTED_DISBURSEMENT_DATE
    9015 DISBURSEMENT_DATE_AFTER_LAST_REPAYMENT_DUE_DATE
    9016 AMOUNT_MORE_THAN_CURRENT_AVAILABLE_AMOUNT
    9017 FEE_AMOUNT_MUST_BE_STRICTLY_POSITIVE
    9018 INVALID_FEE_KEY
    9019 INVALID_INSTALLMENT_NUMBER
    9020 INVALID_TRANSACTION_ID
    9021 TRANSACTION_ALREADY_ADJUSTED
    9022 TRANSACTION_TYPE_DOES_NOT_ALLOW_ADJUSTMENT
    9023 NOT_ADJUSTED_TRANSACTION_LOGGED_AFTER_CURRENT_ONE
    9024 ACCOUNT_HAS_TRANSACTIONS
    9025 ACCOUNT_HAS_REMAINING_BALANCE
    9026 FIELD_NOT_ALLOWED
    9027 FIELD_IS_NOT_EDITABLE
    9028 OPERATION_NOT_ALLOWED_ON_FIELD
    9029 INVALID_FILTER_SELECTION
    9030 INVALID_FILTER_ELEMENT
    9031 INVALID_FILTER_VALUES
    9032 INVALID_IDEMPOTENCY_KEY
    9033 IDEMPOTENCY_KEY_USED_WITH_ANOTHER_REQUEST
    9034 UNSUPPORTED_MEDIA_TYPE
    9035 NOT_ACCEPTABLE
    9036 EXCESSIVE_INVALID_REQUESTS
    9038 NEGATIVE_PRINCIPAL_FOR_INSTALLMENT
    9037 INVALID_GRACE_PERIOD
}

/// Why a request was not carried out.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// HTTP status, 400..=599.
    pub status: u16,
    pub code: u32,
    pub reason: String,
    /// The field or value that was wrong.
    pub source: Option<String>,
}

/// One error, as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RestError<'a> {
    error_code: u32,
    error_reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_source: Option<&'a str>,
}

#[derive(Serialize)]
struct ErrorResponse<'a> {
    errors: [RestError<'a>; 1],
}

impl Refusal {
    /// `{"errors":[{"errorCode":4,"errorReason":"…","errorSource":"…"}]}`
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let error =
            RestError { error_code: self.code, error_reason: &self.reason, error_source: self.source.as_deref() };
        serde_json::to_vec(&ErrorResponse { errors: [error] }).unwrap_or_default()
    }
}

impl Reason {
    /// Refused with this status, and nothing named as its source.
    #[must_use]
    pub fn status(self, status: u16) -> Refusal {
        Refusal { status, code: self.0, reason: self.1.to_owned(), source: None }
    }

    /// A validation failure: 400, with the field or value that was wrong.
    pub fn at(self, source: impl Into<String>) -> Refusal {
        Refusal { source: Some(source.into()), ..self.status(400) }
    }

    /// A validation failure of the whole request: 400.
    #[must_use]
    pub fn plain(self) -> Refusal {
        self.status(400)
    }
}

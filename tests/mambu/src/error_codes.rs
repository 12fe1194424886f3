//! Error codes of Mambu and the body of an error response.

use serde::Serialize;

/// A numeric error code and its reason. Clients must distinguish errors by the reason.
///
/// Numbers below 9001 are Mambu's: a public source states them, or the order of Mambu's published list leaves no doubt.
/// Numbers from 9001 are assigned by this mock and differ from Mambu's. Four reasons are also assigned by this mock,
/// because no published list has them: those of idempotency keys and of media types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MambuErrorCode(pub u32, pub &'static str);

macro_rules! error_codes {
    ($($number:literal $name:ident)*) => {
        $(
            #[doc = concat!("Mambu's `", stringify!($name), "`.")]
            pub const $name: MambuErrorCode = MambuErrorCode($number, stringify!($name));
        )*
    };
}

error_codes! {
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

/// The rejection of a request.
#[derive(Clone, Debug)]
pub struct MambuError {
    /// HTTP status, 400..=599.
    pub status: u16,
    /// Numeric error code.
    pub code: u32,
    /// Reason in capital letters.
    pub reason: String,
    /// Field or value that is wrong.
    pub source: Option<String>,
}

/// An error in the body of a response.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MambuErrorEntry<'a> {
    error_code: u32,
    error_reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_source: Option<&'a str>,
}

#[derive(Serialize)]
struct MambuErrorBody<'a> {
    errors: [MambuErrorEntry<'a>; 1],
}

impl MambuError {
    /// Returns the body: `{"errors":[{"errorCode":4,"errorReason":"…","errorSource":"…"}]}`.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let error =
            MambuErrorEntry { error_code: self.code, error_reason: &self.reason, error_source: self.source.as_deref() };
        serde_json::to_vec(&MambuErrorBody { errors: [error] }).unwrap_or_default()
    }
}

impl MambuErrorCode {
    /// Returns an error with this status and without a source.
    #[must_use]
    pub fn status(self, status: u16) -> MambuError {
        MambuError { status, code: self.0, reason: self.1.to_owned(), source: None }
    }

    /// Returns an error with status 400 and the field or value that is wrong.
    pub fn at(self, source: impl Into<String>) -> MambuError {
        MambuError { source: Some(source.into()), ..self.status(400) }
    }

    /// Returns an error with status 400 and without a source.
    #[must_use]
    pub fn without_source(self) -> MambuError {
        self.status(400)
    }
}

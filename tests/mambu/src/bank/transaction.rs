//! Loan transactions.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use super::schedule::InstallmentComponent;
use crate::dates::{date_time, instant};
use crate::json::{ExactAmount, JsonObject};

/// Kind of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionKind {
    /// Disbursement of principal.
    Disbursement,
    /// Fee.
    Fee,
    /// Repayment.
    Repayment,
    /// Adjustment (reversal) of a transaction of another kind.
    Adjustment(OriginalKind),
}

/// Kind of an adjusted transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginalKind {
    /// Disbursement of principal.
    Disbursement,
    /// Fee.
    Fee,
    /// Repayment.
    Repayment,
}

impl TransactionKind {
    /// Returns Mambu's name of the kind.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Disbursement => "DISBURSEMENT",
            Self::Fee => "FEE_APPLIED",
            Self::Repayment => "REPAYMENT",
            Self::Adjustment(OriginalKind::Disbursement) => "DISBURSEMENT_ADJUSTMENT",
            Self::Adjustment(OriginalKind::Fee) => "FEE_ADJUSTMENT",
            Self::Adjustment(OriginalKind::Repayment) => "REPAYMENT_ADJUSTMENT",
        }
    }

    /// Returns the kind of the adjustment. Returns none for an adjustment, which cannot be adjusted.
    #[must_use]
    pub fn adjustment(self) -> Option<Self> {
        match self {
            Self::Disbursement => Some(Self::Adjustment(OriginalKind::Disbursement)),
            Self::Fee => Some(Self::Adjustment(OriginalKind::Fee)),
            Self::Repayment => Some(Self::Adjustment(OriginalKind::Repayment)),
            Self::Adjustment(_) => None,
        }
    }
}

/// A requested transaction.
#[derive(Clone, Debug)]
pub struct NewTransaction {
    /// Amount.
    pub amount: Option<Decimal>,
    /// Value date.
    pub value_date: Date,
    /// External id.
    pub external_id: Option<String>,
    /// Notes.
    pub notes: Option<String>,
    /// First repayment date of a disbursement.
    pub first_repayment: Option<Date>,
    /// Number of the installment of a fee.
    pub installment: Option<i64>,
    /// Encoded key of the predefined fee.
    pub fee_key: Option<String>,
}

/// A posted transaction, adjusted or not.
#[derive(Clone, Debug)]
pub struct LoanTransaction {
    /// Encoded key.
    pub key: String,
    /// Number among the transactions of all loans, from 1.
    pub number: u64,
    /// Kind.
    pub kind: TransactionKind,
    /// Amount.
    pub amount: Decimal,
    /// Value date.
    pub value_date: Date,
    /// Time of creation.
    pub created: Timestamp,
    /// External id.
    pub external_id: Option<String>,
    /// Notes.
    pub notes: Option<String>,
    /// Encoded key of the predefined fee.
    pub fee_key: Option<String>,
    /// Distribution of the amount: position of the installment, component, amount.
    pub parts: Vec<(usize, InstallmentComponent, Decimal)>,
    /// Principal disbursed by a disbursement or reversed by its adjustment.
    pub disbursed: Decimal,
    /// Principal balance of the loan after the transaction.
    pub principal_balance: Decimal,
    /// Encoded key of the adjustment of this transaction.
    pub adjusted_by: Option<String>,
    /// Encoded key of the transaction that this adjustment reverses.
    pub adjusts: Option<String>,
}

/// Amounts by component in the JSON of a transaction.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AffectedAmounts {
    principal_amount: ExactAmount,
    interest_amount: ExactAmount,
    fees_amount: ExactAmount,
    penalty_amount: ExactAmount,
}

/// Balances in the JSON of a transaction.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TransactionBalances {
    principal_balance: ExactAmount,
}

/// JSON of a predefined fee.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FeeJson<'a> {
    amount: ExactAmount,
    predefined_fee_key: &'a str,
}

impl LoanTransaction {
    /// Returns true if the transaction is neither adjusted nor an adjustment.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.adjusted_by.is_none() && self.adjusts.is_none()
    }

    /// Returns the amount of a component.
    fn component_amount(&self, component: InstallmentComponent) -> Decimal {
        self.parts.iter().filter(|(_, of, _)| *of == component).map(|(.., amount)| *amount).sum()
    }

    /// Returns the transaction in Mambu's format.
    #[must_use]
    pub fn to_json(&self, loan: &str) -> JsonObject {
        let mut fields = JsonObject::default();
        fields.set("encodedKey", &self.key);
        fields.set("id", &self.number.to_string());
        fields.set_if("externalId", self.external_id.as_ref());
        fields.set("parentAccountKey", loan);
        fields.set("type", self.kind.name());
        fields.set("amount", &ExactAmount(self.amount));
        fields.set("valueDate", &date_time(self.value_date));
        fields.set("bookingDate", &date_time(self.value_date));
        fields.set("creationDate", &instant(self.created));
        fields.set_if("notes", self.notes.as_ref());
        fields.set_if("adjustmentTransactionKey", self.adjusted_by.as_ref());
        fields.set_if("originalTransactionKey", self.adjusts.as_ref());
        let affected = AffectedAmounts {
            principal_amount: ExactAmount(self.disbursed + self.component_amount(InstallmentComponent::Principal)),
            interest_amount: ExactAmount(self.component_amount(InstallmentComponent::Interest)),
            fees_amount: ExactAmount(self.component_amount(InstallmentComponent::Fee)),
            penalty_amount: ExactAmount(Decimal::ZERO),
        };
        fields.set("affectedAmounts", &affected);
        fields.set("accountBalances", &TransactionBalances { principal_balance: ExactAmount(self.principal_balance) });
        let fee =
            self.fee_key.as_deref().map(|key| [FeeJson { amount: ExactAmount(self.amount), predefined_fee_key: key }]);
        fields.set_if("fees", fee);
        fields
    }
}

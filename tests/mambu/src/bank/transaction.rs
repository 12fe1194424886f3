//! A loan's transactions.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use super::schedule::Component;
use crate::dates::{date_time, instant};
use crate::json::{Amount, Fields};

/// What kind a transaction is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Disbursement,
    Fee,
    Repayment,
    /// What takes back one of the others.
    Adjustment(Adjusted),
}

/// What kind of transaction is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjusted {
    Disbursement,
    Fee,
    Repayment,
}

impl Kind {
    /// Mambu's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Disbursement => "DISBURSEMENT",
            Self::Fee => "FEE_APPLIED",
            Self::Repayment => "REPAYMENT",
            Self::Adjustment(Adjusted::Disbursement) => "DISBURSEMENT_ADJUSTMENT",
            Self::Adjustment(Adjusted::Fee) => "FEE_ADJUSTMENT",
            Self::Adjustment(Adjusted::Repayment) => "REPAYMENT_ADJUSTMENT",
        }
    }

    /// The kind that takes this one back; an adjustment is not taken back.
    #[must_use]
    pub fn adjustment(self) -> Option<Self> {
        match self {
            Self::Disbursement => Some(Self::Adjustment(Adjusted::Disbursement)),
            Self::Fee => Some(Self::Adjustment(Adjusted::Fee)),
            Self::Repayment => Some(Self::Adjustment(Adjusted::Repayment)),
            Self::Adjustment(_) => None,
        }
    }
}

/// What is asked of a transaction before it is one.
#[derive(Clone, Debug)]
pub struct Posting {
    pub amount: Option<Decimal>,
    pub value_date: Date,
    pub external_id: Option<String>,
    pub notes: Option<String>,
    /// Of a disbursement.
    pub first_repayment: Option<Date>,
    /// Of a fee: the installment's number.
    pub installment: Option<i64>,
    /// Of a fee.
    pub fee_key: Option<String>,
}

/// A transaction, live or taken back.
#[derive(Clone, Debug)]
pub struct Transaction {
    pub key: String,
    /// From 1, over all loans.
    pub number: u64,
    pub kind: Kind,
    pub amount: Decimal,
    pub value_date: Date,
    pub created: Timestamp,
    pub external_id: Option<String>,
    pub notes: Option<String>,
    pub fee_key: Option<String>,
    /// Which installment, by its place, got how much of what.
    pub parts: Vec<(usize, Component, Decimal)>,
    /// Of a disbursement or its adjustment.
    pub disbursed: Decimal,
    /// The loan's principal balance afterwards.
    pub principal_balance: Decimal,
    /// The key of the transaction that took it back.
    pub adjusted_by: Option<String>,
    /// The key of the transaction that it took back.
    pub adjusts: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Affected {
    principal_amount: Amount,
    interest_amount: Amount,
    fees_amount: Amount,
    penalty_amount: Amount,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Balances {
    principal_balance: Amount,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownFee<'a> {
    amount: Amount,
    predefined_fee_key: &'a str,
}

impl Transaction {
    /// Neither taken back nor what takes back.
    #[must_use]
    pub fn lives(&self) -> bool {
        self.adjusted_by.is_none() && self.adjusts.is_none()
    }

    fn of(&self, component: Component) -> Decimal {
        self.parts.iter().filter(|(_, of, _)| *of == component).map(|(.., amount)| *amount).sum()
    }

    /// As Mambu shows it.
    #[must_use]
    pub fn shown(&self, loan: &str) -> Fields {
        let mut fields = Fields::default();
        fields.set("encodedKey", &self.key);
        fields.set("id", &self.number.to_string());
        fields.set_if("externalId", self.external_id.as_ref());
        fields.set("parentAccountKey", loan);
        fields.set("type", self.kind.word());
        fields.set("amount", &Amount(self.amount));
        fields.set("valueDate", &date_time(self.value_date));
        fields.set("bookingDate", &date_time(self.value_date));
        fields.set("creationDate", &instant(self.created));
        fields.set_if("notes", self.notes.as_ref());
        fields.set_if("adjustmentTransactionKey", self.adjusted_by.as_ref());
        fields.set_if("originalTransactionKey", self.adjusts.as_ref());
        let affected = Affected {
            principal_amount: Amount(self.disbursed + self.of(Component::Principal)),
            interest_amount: Amount(self.of(Component::Interest)),
            fees_amount: Amount(self.of(Component::Fee)),
            penalty_amount: Amount(Decimal::ZERO),
        };
        fields.set("affectedAmounts", &affected);
        fields.set("accountBalances", &Balances { principal_balance: Amount(self.principal_balance) });
        let fee =
            self.fee_key.as_deref().map(|key| [ShownFee { amount: Amount(self.amount), predefined_fee_key: key }]);
        fields.set_if("fees", fee);
        fields
    }
}

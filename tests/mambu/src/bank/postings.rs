//! What changes a loan's balances: paying out, charging, paying back, and taking these back.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::loan::{Closed, Loan, State};
use super::schedule::{Component, ORDER};
use super::transaction::{Kind, Posting, Transaction};
use crate::error_codes::{
    AMOUNT_MORE_THAN_CURRENT_AVAILABLE_AMOUNT, BACKDATE_BEFORE_ACTIVATION, CANNOT_APPLY_FEE_ON_PAID_INSTALLMENT,
    DISBURSEMENT_DATE_AFTER_LAST_REPAYMENT_DUE_DATE, EXCESS_REPAYMENT_ERROR, FEE_AMOUNT_MUST_BE_STRICTLY_POSITIVE,
    INVALID_ACCOUNT_STATE, INVALID_ACCOUNT_STATE_FOR_REPAYMENTS, INVALID_AMOUNT, INVALID_DISBURSEMENT_DATE,
    INVALID_FIRST_REPAYMENT_DUE_DATE, INVALID_INSTALLMENT_NUMBER, MISSING_REQUIRED_PARAMETER,
    NOT_ADJUSTED_TRANSACTION_LOGGED_AFTER_CURRENT_ONE, REPAYMENT_DATE_IN_THE_FUTURE_ERROR, Refusal,
    TRANSACTION_ALREADY_ADJUSTED, TRANSACTION_TYPE_DOES_NOT_ALLOW_ADJUSTMENT,
};

impl Loan {
    /// Pays out. The first time, the schedule follows the first repayment date unless it was edited.
    ///
    /// # Errors
    /// Not approved, more than the loan's amount, or dates that do not fit.
    pub fn disburse(&mut self, posting: &Posting, number: u64, today: Date) -> Result<&Transaction, Refusal> {
        if !matches!(self.state, State::Approved | State::Active) {
            return Err(INVALID_ACCOUNT_STATE.plain());
        }
        let available = self.terms.amount - self.disbursed();
        let amount = posting.amount.unwrap_or(available);
        if amount <= Decimal::ZERO && posting.amount.is_some() {
            return Err(INVALID_AMOUNT.at("amount"));
        }
        if amount > available || available.is_zero() {
            return Err(AMOUNT_MORE_THAN_CURRENT_AVAILABLE_AMOUNT.at("amount"));
        }
        if posting.value_date > today {
            return Err(INVALID_DISBURSEMENT_DATE.at("valueDate"));
        }
        if posting.first_repayment.is_some_and(|first| first < posting.value_date) {
            return Err(INVALID_FIRST_REPAYMENT_DUE_DATE.at("firstRepaymentDate"));
        }
        let follows = posting.first_repayment.filter(|_| !self.edited && self.state == State::Approved);
        let dates: Vec<Date> = match follows {
            None => self.schedule.iter().map(|installment| installment.due_date).collect(),
            Some(first) => (0..self.schedule.len())
                .map(|i| self.terms.unit.after(first, self.terms.period * i64::try_from(i).ok()?))
                .collect::<Option<_>>()
                .ok_or_else(|| INVALID_FIRST_REPAYMENT_DUE_DATE.at("firstRepaymentDate"))?,
        };
        if dates.last().is_some_and(|last| posting.value_date > *last) {
            return Err(DISBURSEMENT_DATE_AFTER_LAST_REPAYMENT_DUE_DATE.at("valueDate"));
        }
        for (installment, due) in self.schedule.iter_mut().zip(dates) {
            installment.due_date = due;
        }
        self.state = State::Active;
        Ok(self.posted(Kind::Disbursement, posting, number, amount, amount, vec![]))
    }

    /// Charges a fee, to the installment that is named or else to the first that is not paid.
    ///
    /// # Errors
    /// Not active, no amount, or no such installment that is not paid.
    pub fn charge(&mut self, posting: &Posting, number: u64) -> Result<&Transaction, Refusal> {
        if self.state != State::Active {
            return Err(INVALID_ACCOUNT_STATE.plain());
        }
        let amount = posting.amount.ok_or_else(|| MISSING_REQUIRED_PARAMETER.at("amount"))?;
        if amount <= Decimal::ZERO {
            return Err(FEE_AMOUNT_MUST_BE_STRICTLY_POSITIVE.at("amount"));
        }
        self.not_before_activation(posting.value_date)?;
        let place = match posting.installment {
            None => self.schedule.iter().position(|installment| !installment.due().is_zero()),
            Some(number) => usize::try_from(number - 1).ok().filter(|place| *place < self.schedule.len()),
        };
        let place = place.ok_or_else(|| INVALID_INSTALLMENT_NUMBER.at("installmentNumber"))?;
        let Some(installment) = self.schedule.get_mut(place).filter(|installment| !installment.due().is_zero()) else {
            return Err(CANNOT_APPLY_FEE_ON_PAID_INSTALLMENT.plain());
        };
        installment.fee.expected += amount;
        let parts = vec![(place, Component::Fee, amount)];
        Ok(self.posted(Kind::Fee, posting, number, amount, Decimal::ZERO, parts))
    }

    /// Pays back, installment by installment: fee, interest, principal. What owes nothing any more is closed.
    ///
    /// # Errors
    /// Not active, no amount, more than is owed, or before the money was paid out.
    pub fn repay(&mut self, posting: &Posting, number: u64, today: Date) -> Result<&Transaction, Refusal> {
        if self.state != State::Active {
            return Err(INVALID_ACCOUNT_STATE_FOR_REPAYMENTS.plain());
        }
        let amount = posting.amount.ok_or_else(|| MISSING_REQUIRED_PARAMETER.at("amount"))?;
        if amount <= Decimal::ZERO {
            return Err(INVALID_AMOUNT.at("amount"));
        }
        self.not_before_activation(posting.value_date)?;
        if posting.value_date > today {
            return Err(REPAYMENT_DATE_IN_THE_FUTURE_ERROR.at("valueDate"));
        }
        // Principal that is not paid out yet is not owed yet.
        let mut principal = self.principal_balance();
        let mut left = amount;
        let mut parts = vec![];
        for (place, installment) in self.schedule.iter().enumerate() {
            for component in ORDER {
                let due = installment.part(component).due();
                let owed = if component == Component::Principal { due.min(principal) } else { due };
                let part = owed.min(left);
                if part > Decimal::ZERO {
                    parts.push((place, component, part));
                    left -= part;
                    if component == Component::Principal {
                        principal -= part;
                    }
                }
            }
        }
        if left > Decimal::ZERO {
            return Err(EXCESS_REPAYMENT_ERROR.at("amount"));
        }
        for (place, component, part) in &parts {
            if let Some(installment) = self.schedule.get_mut(*place) {
                installment.part_mut(*component).paid += part;
                installment.last_paid = installment.last_paid.max(Some(posting.value_date));
            }
        }
        if self.schedule.iter().all(|installment| installment.due().is_zero()) {
            self.state = State::Closed(Closed::Repaid);
            self.closed = Some(Timestamp::now());
        }
        Ok(self.posted(Kind::Repayment, posting, number, amount, Decimal::ZERO, parts))
    }

    /// Takes a transaction back, by its place. A loan that a repayment closed is open again afterwards, and one
    /// from which the last disbursement is taken back is approved again.
    ///
    /// # Errors
    /// It is taken back already, is no such kind, or a later one still lives.
    pub fn adjust(&mut self, place: usize, notes: Option<String>, number: u64) -> Result<&Transaction, Refusal> {
        let original = self.transactions.get(place).cloned();
        let original = original.ok_or_else(|| TRANSACTION_TYPE_DOES_NOT_ALLOW_ADJUSTMENT.plain())?;
        let kind = original.kind.adjustment().ok_or_else(|| TRANSACTION_TYPE_DOES_NOT_ALLOW_ADJUSTMENT.plain())?;
        if original.adjusted_by.is_some() {
            return Err(TRANSACTION_ALREADY_ADJUSTED.plain());
        }
        if self.transactions.iter().skip(place + 1).any(Transaction::lives) {
            return Err(NOT_ADJUSTED_TRANSACTION_LOGGED_AFTER_CURRENT_ONE.plain());
        }
        for (place, component, part) in &original.parts {
            if let Some(installment) = self.schedule.get_mut(*place) {
                match kind.word() {
                    "FEE_ADJUSTMENT" => installment.fee.expected -= part,
                    _ => installment.part_mut(*component).paid -= part,
                }
            }
        }
        let mut adjustment = Transaction {
            key: super::encoded_key(),
            number,
            kind,
            created: Timestamp::now(),
            external_id: None,
            notes,
            adjusts: Some(original.key.clone()),
            ..original
        };
        if let Some(original) = self.transactions.get_mut(place) {
            original.adjusted_by = Some(adjustment.key.clone());
        }
        self.state = if self.disbursed().is_zero() { State::Approved } else { State::Active };
        self.closed = None;
        self.paid_again();
        adjustment.principal_balance = self.principal_balance();
        Ok(self.push(adjustment))
    }

    /// When each installment was last paid, from what still lives.
    fn paid_again(&mut self) {
        for (place, installment) in self.schedule.iter_mut().enumerate() {
            let paid = self.transactions.iter().filter(|transaction| {
                transaction.lives()
                    && transaction.kind == Kind::Repayment
                    && transaction.parts.iter().any(|(at, ..)| *at == place)
            });
            installment.last_paid = paid.map(|transaction| transaction.value_date).max();
        }
    }

    fn not_before_activation(&self, value_date: Date) -> Result<(), Refusal> {
        let mut disbursements = self.transactions.iter().filter(|one| one.lives() && one.kind == Kind::Disbursement);
        match disbursements.next() {
            Some(first) if value_date < first.value_date => Err(BACKDATE_BEFORE_ACTIVATION.at("valueDate")),
            _ => Ok(()),
        }
    }

    fn posted(
        &mut self,
        kind: Kind,
        posting: &Posting,
        number: u64,
        amount: Decimal,
        disbursed: Decimal,
        parts: Vec<(usize, Component, Decimal)>,
    ) -> &Transaction {
        let principal_balance = self.principal_balance() + disbursed;
        self.push(Transaction {
            key: super::encoded_key(),
            number,
            kind,
            amount,
            value_date: posting.value_date,
            created: Timestamp::now(),
            external_id: posting.external_id.clone(),
            notes: posting.notes.clone(),
            fee_key: posting.fee_key.clone(),
            parts,
            disbursed,
            principal_balance,
            adjusted_by: None,
            adjusts: None,
        })
    }

    fn push(&mut self, transaction: Transaction) -> &Transaction {
        self.touch();
        self.transactions.push(transaction);
        // Just pushed.
        &self.transactions[self.transactions.len() - 1]
    }
}

//! Transactions that change the balances of a loan: disbursement, fee, repayment, adjustment.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::loan::{ClosedState, LoanAccount, LoanState};
use super::schedule::{InstallmentComponent, ORDER};
use super::transaction::{LoanTransaction, NewTransaction, TransactionKind};
use crate::error_codes::{
    AMOUNT_MORE_THAN_CURRENT_AVAILABLE_AMOUNT, BACKDATE_BEFORE_ACTIVATION, CANNOT_APPLY_FEE_ON_PAID_INSTALLMENT,
    DISBURSEMENT_DATE_AFTER_LAST_REPAYMENT_DUE_DATE, EXCESS_REPAYMENT_ERROR, FEE_AMOUNT_MUST_BE_STRICTLY_POSITIVE,
    INVALID_ACCOUNT_STATE, INVALID_ACCOUNT_STATE_FOR_REPAYMENTS, INVALID_AMOUNT, INVALID_DISBURSEMENT_DATE,
    INVALID_FIRST_REPAYMENT_DUE_DATE, INVALID_INSTALLMENT_NUMBER, MISSING_REQUIRED_PARAMETER, MambuError,
    NOT_ADJUSTED_TRANSACTION_LOGGED_AFTER_CURRENT_ONE, REPAYMENT_DATE_IN_THE_FUTURE_ERROR,
    TRANSACTION_ALREADY_ADJUSTED, TRANSACTION_TYPE_DOES_NOT_ALLOW_ADJUSTMENT,
};

impl LoanAccount {
    /// Disburses principal. The first disbursement moves the schedule to the first repayment date, unless the schedule
    /// is a custom one.
    ///
    /// # Errors
    /// Fails if the loan is not approved, the amount is more than available, or the dates are inconsistent.
    pub fn disburse(
        &mut self,
        posting: &NewTransaction,
        number: u64,
        today: Date,
    ) -> Result<&LoanTransaction, MambuError> {
        if !matches!(self.state, LoanState::Approved | LoanState::Active) {
            return Err(INVALID_ACCOUNT_STATE.without_source());
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
        let new_first_date =
            posting.first_repayment.filter(|_| !self.has_custom_schedule && self.state == LoanState::Approved);
        let dates: Vec<Date> = match new_first_date {
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
        self.state = LoanState::Active;
        Ok(self.add_posting(TransactionKind::Disbursement, posting, number, amount, amount, vec![]))
    }

    /// Charges a fee to the given installment, or to the first unpaid one.
    ///
    /// # Errors
    /// Fails if the loan is not active, the amount is missing, or the installment does not exist or is paid.
    pub fn charge(&mut self, posting: &NewTransaction, number: u64) -> Result<&LoanTransaction, MambuError> {
        if self.state != LoanState::Active {
            return Err(INVALID_ACCOUNT_STATE.without_source());
        }
        let amount = posting.amount.ok_or_else(|| MISSING_REQUIRED_PARAMETER.at("amount"))?;
        if amount <= Decimal::ZERO {
            return Err(FEE_AMOUNT_MUST_BE_STRICTLY_POSITIVE.at("amount"));
        }
        self.check_not_before_activation(posting.value_date)?;
        let position = match posting.installment {
            None => self.schedule.iter().position(|installment| !installment.due().is_zero()),
            Some(number) => usize::try_from(number - 1).ok().filter(|position| *position < self.schedule.len()),
        };
        let position = position.ok_or_else(|| INVALID_INSTALLMENT_NUMBER.at("installmentNumber"))?;
        let Some(installment) = self.schedule.get_mut(position).filter(|installment| !installment.due().is_zero())
        else {
            return Err(CANNOT_APPLY_FEE_ON_PAID_INSTALLMENT.without_source());
        };
        installment.fee.expected += amount;
        let parts = vec![(position, InstallmentComponent::Fee, amount)];
        Ok(self.add_posting(TransactionKind::Fee, posting, number, amount, Decimal::ZERO, parts))
    }

    /// Repays installments in their order, in each one fee, interest, then principal. Closes the loan if nothing is
    /// owed afterwards.
    ///
    /// # Errors
    /// Fails if the loan is not active, the amount is missing or more than owed, or the date precedes the disbursement.
    pub fn repay(
        &mut self,
        posting: &NewTransaction,
        number: u64,
        today: Date,
    ) -> Result<&LoanTransaction, MambuError> {
        if self.state != LoanState::Active {
            return Err(INVALID_ACCOUNT_STATE_FOR_REPAYMENTS.without_source());
        }
        let amount = posting.amount.ok_or_else(|| MISSING_REQUIRED_PARAMETER.at("amount"))?;
        if amount <= Decimal::ZERO {
            return Err(INVALID_AMOUNT.at("amount"));
        }
        self.check_not_before_activation(posting.value_date)?;
        if posting.value_date > today {
            return Err(REPAYMENT_DATE_IN_THE_FUTURE_ERROR.at("valueDate"));
        }
        // Principal is owed only after its disbursement.
        let mut principal = self.principal_balance();
        let mut left = amount;
        let mut parts = vec![];
        for (position, installment) in self.schedule.iter().enumerate() {
            for component in ORDER {
                let due = installment.part(component).due();
                let owed = if component == InstallmentComponent::Principal { due.min(principal) } else { due };
                let part = owed.min(left);
                if part > Decimal::ZERO {
                    parts.push((position, component, part));
                    left -= part;
                    if component == InstallmentComponent::Principal {
                        principal -= part;
                    }
                }
            }
        }
        if left > Decimal::ZERO {
            return Err(EXCESS_REPAYMENT_ERROR.at("amount"));
        }
        for (position, component, part) in &parts {
            if let Some(installment) = self.schedule.get_mut(*position) {
                installment.part_mut(*component).paid += part;
                installment.last_paid = installment.last_paid.max(Some(posting.value_date));
            }
        }
        if self.schedule.iter().all(|installment| installment.due().is_zero()) {
            self.state = LoanState::Closed(ClosedState::Repaid);
            self.closed = Some(Timestamp::now());
        }
        Ok(self.add_posting(TransactionKind::Repayment, posting, number, amount, Decimal::ZERO, parts))
    }

    /// Adjusts (reverses) the transaction at a position. A loan that the repayment closed becomes active. A loan
    /// without another disbursement becomes approved.
    ///
    /// # Errors
    /// Fails if the transaction is adjusted already, is an adjustment, or precedes one that is not adjusted.
    pub fn adjust(
        &mut self,
        position: usize,
        notes: Option<String>,
        number: u64,
    ) -> Result<&LoanTransaction, MambuError> {
        let original = self.transactions.get(position).cloned();
        let original = original.ok_or_else(|| TRANSACTION_TYPE_DOES_NOT_ALLOW_ADJUSTMENT.without_source())?;
        let kind =
            original.kind.adjustment().ok_or_else(|| TRANSACTION_TYPE_DOES_NOT_ALLOW_ADJUSTMENT.without_source())?;
        if original.adjusted_by.is_some() {
            return Err(TRANSACTION_ALREADY_ADJUSTED.without_source());
        }
        if self.transactions.iter().skip(position + 1).any(LoanTransaction::is_active) {
            return Err(NOT_ADJUSTED_TRANSACTION_LOGGED_AFTER_CURRENT_ONE.without_source());
        }
        for (position, component, part) in &original.parts {
            if let Some(installment) = self.schedule.get_mut(*position) {
                match kind.name() {
                    "FEE_ADJUSTMENT" => installment.fee.expected -= part,
                    _ => installment.part_mut(*component).paid -= part,
                }
            }
        }
        let mut adjustment = LoanTransaction {
            key: super::encoded_key(),
            number,
            kind,
            created: Timestamp::now(),
            external_id: None,
            notes,
            adjusts: Some(original.key.clone()),
            ..original
        };
        if let Some(original) = self.transactions.get_mut(position) {
            original.adjusted_by = Some(adjustment.key.clone());
        }
        self.state = if self.disbursed().is_zero() { LoanState::Approved } else { LoanState::Active };
        self.closed = None;
        self.update_last_paid();
        adjustment.principal_balance = self.principal_balance();
        Ok(self.push(adjustment))
    }

    /// Sets the last payment date of each installment from the repayments that are not adjusted.
    fn update_last_paid(&mut self) {
        for (position, installment) in self.schedule.iter_mut().enumerate() {
            let paid = self.transactions.iter().filter(|transaction| {
                transaction.is_active()
                    && transaction.kind == TransactionKind::Repayment
                    && transaction.parts.iter().any(|(at, ..)| *at == position)
            });
            installment.last_paid = paid.map(|transaction| transaction.value_date).max();
        }
    }

    /// Checks that a value date does not precede the first disbursement.
    fn check_not_before_activation(&self, value_date: Date) -> Result<(), MambuError> {
        let mut disbursements =
            self.transactions.iter().filter(|one| one.is_active() && one.kind == TransactionKind::Disbursement);
        match disbursements.next() {
            Some(first) if value_date < first.value_date => Err(BACKDATE_BEFORE_ACTIVATION.at("valueDate")),
            _ => Ok(()),
        }
    }

    /// Adds a transaction.
    fn add_posting(
        &mut self,
        kind: TransactionKind,
        posting: &NewTransaction,
        number: u64,
        amount: Decimal,
        disbursed: Decimal,
        parts: Vec<(usize, InstallmentComponent, Decimal)>,
    ) -> &LoanTransaction {
        let principal_balance = self.principal_balance() + disbursed;
        self.push(LoanTransaction {
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

    /// Appends a transaction and returns it.
    fn push(&mut self, transaction: LoanTransaction) -> &LoanTransaction {
        self.touch();
        self.transactions.push(transaction);
        // The transaction was pushed in the previous line.
        &self.transactions[self.transactions.len() - 1]
    }
}

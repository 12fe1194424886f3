//! Loan accounts: states, balances, JSON.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use super::schedule::{InstallmentComponent, LoanInstallment, LoanTerms};
use super::table::BankEntity;
use super::transaction::{LoanTransaction, TransactionKind};
use crate::dates::instant;
use crate::error_codes::{
    ACCOUNT_HAS_REMAINING_BALANCE, ACCOUNT_HAS_TRANSACTIONS, INVALID_ACCOUNT_STATE, INVALID_PARAMETERS,
    INVALID_STATE_TRANSITION, MambuError,
};
use crate::json::{ExactAmount, JsonObject};

/// State of a loan account. There is no state for arrears, because the mock has no running clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoanState {
    /// Created and not approved.
    PendingApproval,
    /// Approved and not disbursed.
    Approved,
    /// Disbursed and not repaid.
    Active,
    /// Closed.
    Closed(ClosedState),
}

/// Sub-state of a closed account: the reason for closing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedState {
    /// Repaid completely.
    Repaid,
    /// Rejected by the bank.
    Rejected,
    /// Withdrawn by the client.
    Withdrawn,
}

impl LoanState {
    /// Returns the value of `accountState`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PendingApproval => "PENDING_APPROVAL",
            Self::Approved => "APPROVED",
            Self::Active => "ACTIVE",
            Self::Closed(_) => "CLOSED",
        }
    }
}

/// A loan account.
pub struct LoanAccount {
    /// Encoded key.
    pub key: String,
    /// Id.
    pub id: String,
    /// Encoded key of the client.
    pub holder: String,
    /// Members of the request that created the loan.
    pub fields: JsonObject,
    /// State.
    pub state: LoanState,
    /// Terms.
    pub terms: LoanTerms,
    /// Encoded key of the settlement account.
    pub settlement: Option<String>,
    /// Installments in the order of their due dates.
    pub schedule: Vec<LoanInstallment>,
    /// True if a request has set the schedule. Such a schedule does not follow the first repayment date.
    pub has_custom_schedule: bool,
    /// Transactions in the order of posting.
    pub transactions: Vec<LoanTransaction>,
    /// Time of creation.
    pub created: Timestamp,
    /// Time of the last change.
    pub modified: Timestamp,
    /// Time of approval.
    pub approved: Option<Timestamp>,
    /// Time of closing.
    pub closed: Option<Timestamp>,
}

impl BankEntity for LoanAccount {
    fn id(&self) -> &str {
        &self.id
    }
    fn key(&self) -> &str {
        &self.key
    }
}

/// Balances in the JSON of a loan.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct LoanBalances {
    principal_due: Option<ExactAmount>,
    principal_balance: Option<ExactAmount>,
    principal_paid: Option<ExactAmount>,
    interest_due: Option<ExactAmount>,
    interest_balance: Option<ExactAmount>,
    interest_paid: Option<ExactAmount>,
    fees_due: Option<ExactAmount>,
    fees_balance: Option<ExactAmount>,
    fees_paid: Option<ExactAmount>,
    penalty_due: Option<ExactAmount>,
    penalty_balance: Option<ExactAmount>,
    penalty_paid: Option<ExactAmount>,
}

impl LoanAccount {
    /// Returns the disbursed principal.
    #[must_use]
    pub fn disbursed(&self) -> Decimal {
        let paid_out = self.transactions.iter().filter(|transaction| transaction.is_active());
        paid_out
            .filter(|transaction| transaction.kind == TransactionKind::Disbursement)
            .map(|transaction| transaction.amount)
            .sum()
    }

    /// Returns the paid amount of a component.
    #[must_use]
    pub fn paid(&self, component: InstallmentComponent) -> Decimal {
        self.schedule.iter().map(|installment| installment.part(component).paid).sum()
    }

    /// Returns the expected amount of a component.
    #[must_use]
    pub fn expected(&self, component: InstallmentComponent) -> Decimal {
        self.schedule.iter().map(|installment| installment.part(component).expected).sum()
    }

    /// Returns the principal that is disbursed and not repaid.
    #[must_use]
    pub fn principal_balance(&self) -> Decimal {
        self.disbursed() - self.paid(InstallmentComponent::Principal)
    }

    /// Returns the amount of a component that is due today and not paid.
    fn due(&self, component: InstallmentComponent, today: Date) -> Decimal {
        let due = self.schedule.iter().filter(|installment| installment.due_date <= today);
        due.map(|installment| installment.part(component).due()).sum()
    }

    /// Returns the balances. From the disbursement on, interest and fees of the whole schedule count as balance.
    fn balances(&self, today: Date) -> LoanBalances {
        let is_running = matches!(self.state, LoanState::Active);
        let while_running = |amount: Decimal| Some(ExactAmount(if is_running { amount } else { Decimal::ZERO }));
        let owed = |component| while_running(self.expected(component) - self.paid(component));
        LoanBalances {
            principal_due: while_running(self.due(InstallmentComponent::Principal, today)),
            principal_balance: Some(ExactAmount(self.principal_balance())),
            principal_paid: Some(ExactAmount(self.paid(InstallmentComponent::Principal))),
            interest_due: while_running(self.due(InstallmentComponent::Interest, today)),
            interest_balance: owed(InstallmentComponent::Interest),
            interest_paid: Some(ExactAmount(self.paid(InstallmentComponent::Interest))),
            fees_due: while_running(self.due(InstallmentComponent::Fee, today)),
            fees_balance: owed(InstallmentComponent::Fee),
            fees_paid: Some(ExactAmount(self.paid(InstallmentComponent::Fee))),
            penalty_due: Some(ExactAmount(Decimal::ZERO)),
            penalty_balance: Some(ExactAmount(Decimal::ZERO)),
            penalty_paid: Some(ExactAmount(Decimal::ZERO)),
        }
    }

    /// Returns the value of `accountSubState`.
    fn sub_state(&self) -> Option<&'static str> {
        match self.state {
            LoanState::Closed(ClosedState::Repaid) => Some("REPAID"),
            LoanState::Closed(ClosedState::Rejected) => Some("REJECTED"),
            LoanState::Closed(ClosedState::Withdrawn) => Some("WITHDRAWN"),
            LoanState::Active if self.disbursed() < self.terms.amount => Some("PARTIALLY_DISBURSED"),
            _ => None,
        }
    }

    /// Returns the loan in Mambu's format. Amounts due are those due on this day.
    #[must_use]
    pub fn to_json(&self, today: Date) -> JsonObject {
        let mut fields = self.fields.clone();
        fields.set("encodedKey", &self.key);
        fields.set("id", &self.id);
        fields.set("loanAmount", &ExactAmount(self.terms.amount));
        fields.set("accountState", self.state.name());
        fields.set_if("accountSubState", self.sub_state());
        fields.set_if("settlementAccountKey", self.settlement.as_ref());
        fields.set("balances", &self.balances(today));
        fields.set("creationDate", &instant(self.created));
        fields.set("lastModifiedDate", &instant(self.modified));
        fields.set_if("approvedDate", self.approved.map(instant));
        fields.set_if("closedDate", self.closed.map(instant));
        fields
    }

    /// Returns the schedule in Mambu's format.
    #[must_use]
    pub fn schedule_json(&self) -> JsonObject {
        let mut fields = JsonObject::default();
        let installments: Vec<_> = self.schedule.iter().map(|installment| installment.to_json(&self.key)).collect();
        fields.set("installments", &installments);
        fields
    }

    /// Sets the time of the last change to now.
    pub fn touch(&mut self) {
        self.modified = Timestamp::now();
    }

    /// Executes `APPROVE`, `UNDO_APPROVE`, `REJECT`, `UNDO_REJECT`, `WITHDRAW` or `UNDO_WITHDRAW`. `CLOSE` always
    /// fails, because a repaid loan is closed already.
    ///
    /// # Errors
    /// Fails if the action is unknown or the state does not allow it.
    pub fn change_state(&mut self, action: &str) -> Result<(), MambuError> {
        let next = match (action, self.state) {
            ("APPROVE", LoanState::PendingApproval) => LoanState::Approved,
            ("UNDO_APPROVE", LoanState::Approved) => LoanState::PendingApproval,
            ("REJECT", LoanState::PendingApproval) => LoanState::Closed(ClosedState::Rejected),
            ("UNDO_REJECT", LoanState::Closed(ClosedState::Rejected)) => LoanState::PendingApproval,
            ("WITHDRAW", LoanState::PendingApproval | LoanState::Approved) => LoanState::Closed(ClosedState::Withdrawn),
            ("UNDO_WITHDRAW", LoanState::Closed(ClosedState::Withdrawn)) => LoanState::PendingApproval,
            ("CLOSE", LoanState::Active) => return Err(ACCOUNT_HAS_REMAINING_BALANCE.without_source()),
            ("APPROVE" | "UNDO_APPROVE" | "REJECT" | "UNDO_REJECT" | "WITHDRAW" | "UNDO_WITHDRAW" | "CLOSE", _) => {
                return Err(INVALID_STATE_TRANSITION.without_source());
            }
            _ => return Err(INVALID_PARAMETERS.at("action")),
        };
        let now = Timestamp::now();
        self.state = next;
        self.approved = (next == LoanState::Approved).then_some(now);
        self.closed = matches!(next, LoanState::Closed(_)).then_some(now);
        self.touch();
        Ok(())
    }

    /// Checks that the loan may be deleted.
    ///
    /// # Errors
    /// Fails if the loan has a transaction that is not adjusted, or is approved or active.
    pub fn check_deletable(&self) -> Result<(), MambuError> {
        if self.transactions.iter().any(LoanTransaction::is_active) {
            return Err(ACCOUNT_HAS_TRANSACTIONS.without_source());
        }
        match self.state {
            LoanState::PendingApproval | LoanState::Closed(_) => Ok(()),
            LoanState::Approved | LoanState::Active => Err(INVALID_ACCOUNT_STATE.without_source()),
        }
    }

    /// Sets a custom schedule.
    ///
    /// # Errors
    /// Fails if the loan is not pending approval.
    pub fn set_schedule(&mut self, schedule: Vec<LoanInstallment>) -> Result<(), MambuError> {
        if self.state != LoanState::PendingApproval {
            return Err(INVALID_ACCOUNT_STATE.without_source());
        }
        self.schedule = schedule;
        self.has_custom_schedule = true;
        self.touch();
        Ok(())
    }
}

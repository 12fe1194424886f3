//! A loan account: its states, and what is shown of it.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use super::schedule::{Component, Installment, Terms};
use super::table::Row;
use super::transaction::{Kind, Transaction};
use crate::dates::instant;
use crate::error_codes::{
    ACCOUNT_HAS_REMAINING_BALANCE, ACCOUNT_HAS_TRANSACTIONS, INVALID_ACCOUNT_STATE, INVALID_PARAMETERS,
    INVALID_STATE_TRANSITION, Refusal,
};
use crate::json::{Amount, Fields};

/// The state of a loan account. Arrears are no state of their own: no clock runs here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    PendingApproval,
    Approved,
    Active,
    Closed(Closed),
}

/// Why an account is closed: its sub-state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    Repaid,
    Rejected,
    Withdrawn,
}

impl State {
    /// `accountState`
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::PendingApproval => "PENDING_APPROVAL",
            Self::Approved => "APPROVED",
            Self::Active => "ACTIVE",
            Self::Closed(_) => "CLOSED",
        }
    }
}

/// A loan account.
pub struct Loan {
    pub key: String,
    pub id: String,
    /// The client's encoded key.
    pub holder: String,
    /// What was sent when it was made, changed by what was changed.
    pub fields: Fields,
    pub state: State,
    pub terms: Terms,
    pub settlement: Option<String>,
    pub schedule: Vec<Installment>,
    /// The schedule was set, and no longer follows the dates of the loan.
    pub edited: bool,
    pub transactions: Vec<Transaction>,
    pub created: Timestamp,
    pub modified: Timestamp,
    pub approved: Option<Timestamp>,
    pub closed: Option<Timestamp>,
}

impl Row for Loan {
    fn id(&self) -> &str {
        &self.id
    }
    fn key(&self) -> &str {
        &self.key
    }
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Balances {
    principal_due: Option<Amount>,
    principal_balance: Option<Amount>,
    principal_paid: Option<Amount>,
    interest_due: Option<Amount>,
    interest_balance: Option<Amount>,
    interest_paid: Option<Amount>,
    fees_due: Option<Amount>,
    fees_balance: Option<Amount>,
    fees_paid: Option<Amount>,
    penalty_due: Option<Amount>,
    penalty_balance: Option<Amount>,
    penalty_paid: Option<Amount>,
}

impl Loan {
    /// What of the principal is paid out.
    #[must_use]
    pub fn disbursed(&self) -> Decimal {
        let paid_out = self.transactions.iter().filter(|transaction| transaction.lives());
        paid_out
            .filter(|transaction| transaction.kind == Kind::Disbursement)
            .map(|transaction| transaction.amount)
            .sum()
    }

    #[must_use]
    pub fn paid(&self, component: Component) -> Decimal {
        self.schedule.iter().map(|installment| installment.part(component).paid).sum()
    }

    #[must_use]
    pub fn expected(&self, component: Component) -> Decimal {
        self.schedule.iter().map(|installment| installment.part(component).expected).sum()
    }

    /// Principal disbursed and not paid back.
    #[must_use]
    pub fn principal_balance(&self) -> Decimal {
        self.disbursed() - self.paid(Component::Principal)
    }

    fn due(&self, component: Component, today: Date) -> Decimal {
        let due = self.schedule.iter().filter(|installment| installment.due_date <= today);
        due.map(|installment| installment.part(component).due()).sum()
    }

    /// What is owed of interest and fees over the whole schedule counts as balance, from the disbursement on.
    fn balances(&self, today: Date) -> Balances {
        let runs = matches!(self.state, State::Active);
        let while_running = |amount: Decimal| Some(Amount(if runs { amount } else { Decimal::ZERO }));
        let owed = |component| while_running(self.expected(component) - self.paid(component));
        Balances {
            principal_due: while_running(self.due(Component::Principal, today)),
            principal_balance: Some(Amount(self.principal_balance())),
            principal_paid: Some(Amount(self.paid(Component::Principal))),
            interest_due: while_running(self.due(Component::Interest, today)),
            interest_balance: owed(Component::Interest),
            interest_paid: Some(Amount(self.paid(Component::Interest))),
            fees_due: while_running(self.due(Component::Fee, today)),
            fees_balance: owed(Component::Fee),
            fees_paid: Some(Amount(self.paid(Component::Fee))),
            penalty_due: Some(Amount(Decimal::ZERO)),
            penalty_balance: Some(Amount(Decimal::ZERO)),
            penalty_paid: Some(Amount(Decimal::ZERO)),
        }
    }

    fn sub_state(&self) -> Option<&'static str> {
        match self.state {
            State::Closed(Closed::Repaid) => Some("REPAID"),
            State::Closed(Closed::Rejected) => Some("REJECTED"),
            State::Closed(Closed::Withdrawn) => Some("WITHDRAWN"),
            State::Active if self.disbursed() < self.terms.amount => Some("PARTIALLY_DISBURSED"),
            _ => None,
        }
    }

    /// As Mambu shows it. What is due is due on this day.
    #[must_use]
    pub fn shown(&self, today: Date) -> Fields {
        let mut fields = self.fields.clone();
        fields.set("encodedKey", &self.key);
        fields.set("id", &self.id);
        fields.set("loanAmount", &Amount(self.terms.amount));
        fields.set("accountState", self.state.word());
        fields.set_if("accountSubState", self.sub_state());
        fields.set_if("settlementAccountKey", self.settlement.as_ref());
        fields.set("balances", &self.balances(today));
        fields.set("creationDate", &instant(self.created));
        fields.set("lastModifiedDate", &instant(self.modified));
        fields.set_if("approvedDate", self.approved.map(instant));
        fields.set_if("closedDate", self.closed.map(instant));
        fields
    }

    /// The schedule, as Mambu shows it.
    #[must_use]
    pub fn shown_schedule(&self) -> Fields {
        let mut fields = Fields::default();
        let installments: Vec<_> = self.schedule.iter().map(|installment| installment.shown(&self.key)).collect();
        fields.set("installments", &installments);
        fields
    }

    /// Notes that it changed now.
    pub fn touch(&mut self) {
        self.modified = Timestamp::now();
    }

    /// `APPROVE`, `UNDO_APPROVE`, `REJECT`, `UNDO_REJECT`, `WITHDRAW`, `UNDO_WITHDRAW`; `CLOSE` never is legal,
    /// because a loan that owes nothing is closed already.
    ///
    /// # Errors
    /// No such action, or the state does not allow it.
    pub fn act(&mut self, action: &str) -> Result<(), Refusal> {
        let next = match (action, self.state) {
            ("APPROVE", State::PendingApproval) => State::Approved,
            ("UNDO_APPROVE", State::Approved) => State::PendingApproval,
            ("REJECT", State::PendingApproval) => State::Closed(Closed::Rejected),
            ("UNDO_REJECT", State::Closed(Closed::Rejected)) => State::PendingApproval,
            ("WITHDRAW", State::PendingApproval | State::Approved) => State::Closed(Closed::Withdrawn),
            ("UNDO_WITHDRAW", State::Closed(Closed::Withdrawn)) => State::PendingApproval,
            ("CLOSE", State::Active) => return Err(ACCOUNT_HAS_REMAINING_BALANCE.plain()),
            ("APPROVE" | "UNDO_APPROVE" | "REJECT" | "UNDO_REJECT" | "WITHDRAW" | "UNDO_WITHDRAW" | "CLOSE", _) => {
                return Err(INVALID_STATE_TRANSITION.plain());
            }
            _ => return Err(INVALID_PARAMETERS.at("action")),
        };
        let now = Timestamp::now();
        self.state = next;
        self.approved = (next == State::Approved).then_some(now);
        self.closed = matches!(next, State::Closed(_)).then_some(now);
        self.touch();
        Ok(())
    }

    /// Whether it may be deleted: nothing lives on it, and it is not approved.
    ///
    /// # Errors
    /// It may not.
    pub fn deletable(&self) -> Result<(), Refusal> {
        if self.transactions.iter().any(Transaction::lives) {
            return Err(ACCOUNT_HAS_TRANSACTIONS.plain());
        }
        match self.state {
            State::PendingApproval | State::Closed(_) => Ok(()),
            State::Approved | State::Active => Err(INVALID_ACCOUNT_STATE.plain()),
        }
    }

    /// Sets the schedule, which from then on stays as it is.
    ///
    /// # Errors
    /// The loan is approved already.
    pub fn set_schedule(&mut self, schedule: Vec<Installment>) -> Result<(), Refusal> {
        if self.state != State::PendingApproval {
            return Err(INVALID_ACCOUNT_STATE.plain());
        }
        self.schedule = schedule;
        self.edited = true;
        self.touch();
        Ok(())
    }
}

//! Installments of a loan and the calculation of a schedule.

use jiff::civil::Date;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

use crate::dates::{PeriodUnit, date_time};
use crate::json::{ExactAmount, JsonObject};

/// Component of an installment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallmentComponent {
    /// Fee.
    Fee,
    /// Interest.
    Interest,
    /// Principal.
    Principal,
}

/// Order in which a repayment pays the components of an installment.
pub const ORDER: [InstallmentComponent; 3] =
    [InstallmentComponent::Fee, InstallmentComponent::Interest, InstallmentComponent::Principal];

/// Expected and paid amount of a component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ComponentAmount {
    /// Expected amount.
    pub expected: Decimal,
    /// Paid amount.
    pub paid: Decimal,
}

impl ComponentAmount {
    /// Creates an unpaid amount.
    #[must_use]
    pub fn expecting(expected: Decimal) -> Self {
        Self { expected, paid: Decimal::ZERO }
    }

    /// Returns the unpaid amount.
    #[must_use]
    pub fn due(self) -> Decimal {
        self.expected - self.paid
    }
}

/// An installment.
#[derive(Clone, Debug)]
pub struct LoanInstallment {
    /// Encoded key.
    pub key: String,
    /// Number in the schedule, from 1.
    pub number: usize,
    /// Due date.
    pub due_date: Date,
    /// Fee.
    pub fee: ComponentAmount,
    /// Interest.
    pub interest: ComponentAmount,
    /// Principal.
    pub principal: ComponentAmount,
    /// Date of the last payment.
    pub last_paid: Option<Date>,
}

impl LoanInstallment {
    /// Creates an unpaid installment without a fee.
    #[must_use]
    pub fn new(number: usize, due_date: Date, principal: Decimal, interest: Decimal) -> Self {
        Self {
            key: super::encoded_key(),
            number,
            due_date,
            fee: ComponentAmount::default(),
            interest: ComponentAmount::expecting(interest),
            principal: ComponentAmount::expecting(principal),
            last_paid: None,
        }
    }

    /// Returns the amount of a component.
    #[must_use]
    pub fn part(&self, component: InstallmentComponent) -> ComponentAmount {
        match component {
            InstallmentComponent::Fee => self.fee,
            InstallmentComponent::Interest => self.interest,
            InstallmentComponent::Principal => self.principal,
        }
    }

    /// Returns the amount of a component for modification.
    pub fn part_mut(&mut self, component: InstallmentComponent) -> &mut ComponentAmount {
        match component {
            InstallmentComponent::Fee => &mut self.fee,
            InstallmentComponent::Interest => &mut self.interest,
            InstallmentComponent::Principal => &mut self.principal,
        }
    }

    /// Returns the unpaid amount of all components.
    #[must_use]
    pub fn due(&self) -> Decimal {
        ORDER.iter().map(|component| self.part(*component).due()).sum()
    }

    /// Returns `PENDING`, `PARTIALLY_PAID` or `PAID`. Never returns `LATE`, because the mock has no running clock.
    #[must_use]
    pub fn state(&self) -> &'static str {
        let paid: Decimal = ORDER.iter().map(|component| self.part(*component).paid).sum();
        if self.due().is_zero() {
            "PAID"
        } else if paid.is_zero() {
            "PENDING"
        } else {
            "PARTIALLY_PAID"
        }
    }

    /// Returns the installment in Mambu's format.
    #[must_use]
    pub fn to_json(&self, loan: &str) -> JsonObject {
        let mut fields = JsonObject::default();
        fields.set("encodedKey", &self.key);
        fields.set("parentAccountKey", loan);
        fields.set("number", &self.number.to_string());
        fields.set("dueDate", &date_time(self.due_date));
        fields.set_if("lastPaidDate", self.last_paid.map(date_time));
        fields.set_if("repaidDate", self.last_paid.filter(|_| self.due().is_zero()).map(date_time));
        fields.set("state", self.state());
        fields.set("isPaymentHoliday", &false);
        for (name, part) in [
            ("principal", self.principal),
            ("interest", self.interest),
            ("fee", self.fee),
            ("penalty", ComponentAmount::default()),
        ] {
            fields.set(name, &ComponentJson { amount: part.into() });
        }
        fields
    }
}

/// JSON of a component.
#[derive(Serialize)]
struct ComponentJson {
    amount: ComponentAmountJson,
}

/// JSON of the amount of a component.
#[derive(Serialize)]
struct ComponentAmountJson {
    expected: ExactAmount,
    due: ExactAmount,
    paid: ExactAmount,
}

impl From<ComponentAmount> for ComponentAmountJson {
    fn from(part: ComponentAmount) -> Self {
        Self { expected: ExactAmount(part.expected), due: ExactAmount(part.due()), paid: ExactAmount(part.paid) }
    }
}

/// Terms of a loan, from which a schedule is calculated.
#[derive(Clone, Copy, Debug)]
pub struct LoanTerms {
    /// Principal.
    pub amount: Decimal,
    /// Interest rate in per cent a year.
    pub rate: Decimal,
    /// Number of installments, at least one.
    pub installments: usize,
    /// Number of units between two installments.
    pub period: i64,
    /// Unit of the period.
    pub unit: PeriodUnit,
}

impl LoanTerms {
    /// Calculates the schedule: equal principals, rounded half up to two decimals, with the remainder in the last
    /// installment, and interest on the outstanding principal. Returns none if a date is beyond the calendar.
    #[must_use]
    pub fn schedule(&self, first: Date) -> Option<Vec<LoanInstallment>> {
        let each = cents(self.amount / Decimal::from(self.installments));
        let mut outstanding = self.amount;
        let mut schedule = Vec::with_capacity(self.installments);
        for number in 1..=self.installments {
            let principal = if number == self.installments { outstanding } else { each.min(outstanding) };
            let interest =
                cents(outstanding * self.rate * Decimal::from(self.period) / self.units_per_year_in_percent());
            let due = self.unit.after(first, self.period * i64::try_from(number - 1).ok()?)?;
            schedule.push(LoanInstallment::new(number, due, principal, interest));
            outstanding -= principal;
        }
        Some(schedule)
    }

    /// Returns the number of units a year, times 100 because the rate is in per cent.
    fn units_per_year_in_percent(&self) -> Decimal {
        Decimal::from(match self.unit {
            PeriodUnit::Days => 36500,
            PeriodUnit::Weeks => 5200,
            PeriodUnit::Months => 1200,
            PeriodUnit::Years => 100,
        })
    }
}

/// Rounds half up to exactly two decimals.
fn cents(amount: Decimal) -> Decimal {
    let mut rounded = amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    rounded.rescale(2);
    rounded
}

//! A loan's installments: worked out, edited, paid off.

use jiff::civil::Date;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

use crate::dates::{PeriodUnit, date_time};
use crate::json::{Amount, Fields};

/// What an installment is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    Fee,
    Interest,
    Principal,
}

/// The order in which an installment is paid off.
pub const ORDER: [Component; 3] = [Component::Fee, Component::Interest, Component::Principal];

/// What is expected of one component, and what of it is paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    pub expected: Decimal,
    pub paid: Decimal,
}

impl Part {
    #[must_use]
    pub fn expecting(expected: Decimal) -> Self {
        Self { expected, paid: Decimal::ZERO }
    }

    #[must_use]
    pub fn due(self) -> Decimal {
        self.expected - self.paid
    }
}

/// One installment.
#[derive(Clone, Debug)]
pub struct Installment {
    pub key: String,
    /// From 1.
    pub number: usize,
    pub due_date: Date,
    pub fee: Part,
    pub interest: Part,
    pub principal: Part,
    pub last_paid: Option<Date>,
}

impl Installment {
    #[must_use]
    pub fn new(number: usize, due_date: Date, principal: Decimal, interest: Decimal) -> Self {
        Self {
            key: super::encoded_key(),
            number,
            due_date,
            fee: Part::default(),
            interest: Part::expecting(interest),
            principal: Part::expecting(principal),
            last_paid: None,
        }
    }

    #[must_use]
    pub fn part(&self, component: Component) -> Part {
        match component {
            Component::Fee => self.fee,
            Component::Interest => self.interest,
            Component::Principal => self.principal,
        }
    }

    pub fn part_mut(&mut self, component: Component) -> &mut Part {
        match component {
            Component::Fee => &mut self.fee,
            Component::Interest => &mut self.interest,
            Component::Principal => &mut self.principal,
        }
    }

    /// What of it is not paid.
    #[must_use]
    pub fn due(&self) -> Decimal {
        ORDER.iter().map(|component| self.part(*component).due()).sum()
    }

    /// `PENDING`, `PARTIALLY_PAID` or `PAID`. Never `LATE`: no clock runs here.
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

    /// As Mambu shows it.
    #[must_use]
    pub fn shown(&self, loan: &str) -> Fields {
        let mut fields = Fields::default();
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
            ("penalty", Part::default()),
        ] {
            fields.set(name, &Shown { amount: part.into() });
        }
        fields
    }
}

#[derive(Serialize)]
struct Shown {
    amount: ShownPart,
}

#[derive(Serialize)]
struct ShownPart {
    expected: Amount,
    due: Amount,
    paid: Amount,
}

impl From<Part> for ShownPart {
    fn from(part: Part) -> Self {
        Self { expected: Amount(part.expected), due: Amount(part.due()), paid: Amount(part.paid) }
    }
}

/// By what a schedule is worked out.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub amount: Decimal,
    /// Per cent a year.
    pub rate: Decimal,
    /// At least one.
    pub installments: usize,
    pub period: i64,
    pub unit: PeriodUnit,
}

impl Terms {
    /// Equal principals rounded half up to two decimals, the last takes what remains; interest on what is
    /// outstanding. None if the dates leave the calendar.
    #[must_use]
    pub fn schedule(&self, first: Date) -> Option<Vec<Installment>> {
        let each = cents(self.amount / Decimal::from(self.installments));
        let mut outstanding = self.amount;
        let mut schedule = Vec::with_capacity(self.installments);
        for number in 1..=self.installments {
            let principal = if number == self.installments { outstanding } else { each.min(outstanding) };
            let interest = cents(outstanding * self.rate * Decimal::from(self.period) / self.periods_a_year());
            let due = self.unit.after(first, self.period * i64::try_from(number - 1).ok()?)?;
            schedule.push(Installment::new(number, due, principal, interest));
            outstanding -= principal;
        }
        Some(schedule)
    }

    /// How many periods of its unit a year has, times a hundred for the per cent.
    fn periods_a_year(&self) -> Decimal {
        Decimal::from(match self.unit {
            PeriodUnit::Days => 36500,
            PeriodUnit::Weeks => 5200,
            PeriodUnit::Months => 1200,
            PeriodUnit::Years => 100,
        })
    }
}

/// Half up to two decimals, which every amount here then has.
fn cents(amount: Decimal) -> Decimal {
    let mut rounded = amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    rounded.rescale(2);
    rounded
}

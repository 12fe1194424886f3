//! The installments of a facility and their remainder after repayments. All amounts are in minor units.
//!
//! Every amount is rounded half up to the minor unit, so that a borrower can check it by hand. The principal of the
//! last installment is the remainder, so that the principals add up exactly. Monthly interest is outstanding principal
//! × percentage / 1200.
//!
//! | method | principal | interest |
//! |---|---|---|
//! | annuity | level payment less interest | monthly |
//! | linear | amount / term | monthly |
//! | bullet | all at the end of the term | all at the end, not compounded |
//! | interest-only | all at the end of the term | monthly |

use crate::Date;
use rust_decimal::Decimal;

use crate::{HALF_UP, months_after};

/// A repayment method.
#[derive(Clone, Copy, PartialEq, Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The same payment every month.
    Annuity,
    /// The same principal every month.
    Linear,
    /// Principal and interest at the end of the term.
    Bullet,
    /// Interest every month, the principal at the end.
    InterestOnly,
}

/// The terms of a facility, from which its installments are calculated.
pub struct Terms {
    /// Principal, in minor units.
    pub principal: i64,
    /// Interest per year, in per cent.
    pub percentage: Decimal,
    /// Term, in months.
    pub months: u32,
    /// Repayment method.
    pub method: Method,
    /// Base of the due dates: installment `n` is due `n + delay` months after this day.
    pub from: Date,
    /// Shift of the due dates, in months. Negative for earlier.
    pub delay: i8,
}

/// An installment.
#[derive(Clone, Debug, PartialEq)]
pub struct Installment {
    /// Number, from 1.
    pub number: u32,
    /// Due date.
    pub due: Date,
    /// Principal, in minor units.
    pub principal: i64,
    /// Interest, in minor units.
    pub interest: i64,
}

/// Repayments that have not been allocated to installments yet.
#[derive(Clone, Copy, Default)]
pub struct Repaid {
    /// Regular repayments, in minor units. They pay the installments in order, and of each the interest first.
    pub regular: i128,
    /// Additional repayments, in minor units. They pay principal only.
    pub additional: i128,
}

impl Terms {
    /// Returns all installments, without any repayment. Returns none if an amount does not fit in 64 bits or a date is
    /// beyond the year 9999.
    pub fn installments(&self) -> Option<Vec<Installment>> {
        if self.method == Method::Bullet {
            let due = self.due(self.months)?;
            let interest = self.interest(self.principal)?;
            return Some(vec![Installment { number: 1, due, principal: self.principal, interest }]);
        }
        let level = self.level()?;
        let mut balance = self.principal;
        (1..=self.months)
            .map(|number| {
                let interest = self.interest(balance)?;
                let principal = match self.method {
                    _ if number == self.months => balance,
                    Method::Annuity => level.checked_sub(interest)?.clamp(0, balance),
                    Method::Linear => level.min(balance),
                    Method::InterestOnly | Method::Bullet => 0,
                };
                balance -= principal;
                Some(Installment { number, due: self.due(number)?, principal, interest })
            })
            .collect()
    }

    /// Returns the remainder of these installments after `repaid`, and subtracts the allocated amounts from `repaid`.
    /// Installments keep their numbers and due dates. Interest is at most the interest on the principal that is still
    /// outstanding. Returns none if an amount does not fit in 64 bits.
    pub fn remaining(&self, installments: Vec<Installment>, repaid: &mut Repaid) -> Option<Vec<Installment>> {
        let mut left = vec![];
        for mut installment in installments {
            installment.interest -= withdraw(&mut repaid.regular, installment.interest);
            let unpaid = installment.principal;
            installment.principal -= withdraw(&mut repaid.regular, unpaid);
            installment.principal -= withdraw(&mut repaid.additional, installment.principal);
            let done = installment.principal == 0 && unpaid > 0;
            if !done {
                left.push(installment);
            }
        }
        let mut balance = left.iter().map(|installment| installment.principal).sum();
        for installment in &mut left {
            installment.interest = installment.interest.min(self.interest(balance)?);
            balance -= installment.principal;
        }
        left.retain(|installment| installment.principal > 0 || installment.interest > 0);
        Some(left)
    }

    /// Returns the level monthly amount: of an annuity the payment, of a linear facility the principal.
    fn level(&self) -> Option<i64> {
        let (principal, months) = (Decimal::from(self.principal), Decimal::from(self.months));
        let rate = self.percentage.checked_div(Decimal::from(1_200))?;
        let discounted =
            Decimal::ONE.checked_sub(power(Decimal::ONE.checked_div(Decimal::ONE + rate)?, self.months)?)?;
        if self.method != Method::Annuity || discounted.is_zero() {
            return rounded(principal.checked_div(months)?);
        }
        rounded(principal.checked_mul(rate)?.checked_div(discounted)?)
    }

    /// Returns the interest on this balance for a month, or for the whole term of a bullet facility.
    fn interest(&self, balance: i64) -> Option<i64> {
        let months = if self.method == Method::Bullet { self.months } else { 1 };
        let yearly = Decimal::from(balance).checked_mul(self.percentage)?;
        rounded(yearly.checked_mul(Decimal::from(months))?.checked_div(Decimal::from(1_200))?)
    }

    /// Returns the due date of an installment.
    fn due(&self, number: u32) -> Option<Date> {
        months_after(self.from, number.checked_add_signed(self.delay.into())?)
    }
}

/// Withdraws at most `limit` from `pot`. Returns the amount.
fn withdraw(pot: &mut i128, limit: i64) -> i64 {
    let amount = i64::try_from((*pot).clamp(0, limit.into())).unwrap_or(0);
    *pot -= i128::from(amount);
    amount
}

/// Rounds half up. Returns none if the result does not fit in 64 bits.
fn rounded(units: Decimal) -> Option<i64> {
    i64::try_from(units.round_dp_with_strategy(0, HALF_UP)).ok()
}

/// Returns `base` to the power of `exponent`. Returns none on overflow.
fn power(mut base: Decimal, mut exponent: u32) -> Option<Decimal> {
    let mut power = Decimal::ONE;
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = power.checked_mul(base)?;
        }
        base = base.checked_mul(base)?;
        exponent >>= 1;
    }
    Some(power)
}

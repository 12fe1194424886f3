//! The installments of a facility, and what remains of them. Pure figures in minor units.
//!
//! Every figure is rounded half up to the minor unit, as a borrower does who checks it by hand; the last
//! installment's principal is what the others leave, so that the principal adds up exactly. Interest of
//! a month is the outstanding principal × percentage / 1200.
//!
//! | method | principal | interest |
//! |---|---|---|
//! | annuity | level payment less interest | monthly |
//! | linear | amount / term | monthly |
//! | bullet | all at the end of the term | all at the end, not compounded |
//! | interest-only | all at the end of the term | monthly |

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::{HALF_UP, months_after};

/// How a facility is repaid.
#[derive(Clone, Copy, PartialEq, Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The same payment every month.
    Annuity,
    /// The same principal every month.
    Linear,
    /// Everything at the end.
    Bullet,
    /// Interest every month, the principal at the end.
    InterestOnly,
}

/// What a facility's installments follow from.
pub struct Terms {
    /// In minor units.
    pub principal: i64,
    /// A year.
    pub percentage: Decimal,
    /// Of the term.
    pub months: u32,
    /// How it is repaid.
    pub method: Method,
    /// Installment `n` is due `n + delay` months after this day.
    pub from: Date,
    /// Months by which the first installment is later, or earlier, than a month after `from`.
    pub delay: i8,
}

/// One installment.
#[derive(Clone, Debug, PartialEq)]
pub struct Installment {
    /// From 1.
    pub number: u32,
    /// When it falls due.
    pub due: Date,
    /// In minor units.
    pub principal: i64,
    /// In minor units.
    pub interest: i64,
}

/// What has been repaid and is not yet taken into account.
#[derive(Clone, Copy, Default)]
pub struct Repaid {
    /// Pays installments as they follow, of each the interest first.
    pub regular: i128,
    /// Reduces principal and nothing else.
    pub additional: i128,
}

impl Terms {
    /// All installments, as if nothing had been repaid; none where a figure or date is beyond reach.
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

    /// What remains of these installments once `repaid` is taken into account, which is used up on the
    /// way. Installments keep their numbers and days. Interest falls due on no more than the principal
    /// that is still outstanding.
    pub fn remaining(&self, installments: Vec<Installment>, repaid: &mut Repaid) -> Option<Vec<Installment>> {
        let mut left = vec![];
        for mut installment in installments {
            installment.interest -= take(&mut repaid.regular, installment.interest);
            let unpaid = installment.principal;
            installment.principal -= take(&mut repaid.regular, unpaid);
            installment.principal -= take(&mut repaid.additional, installment.principal);
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

    /// What falls due every month: of an annuity the payment, of a linear facility the principal.
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

    /// Interest on so much, for a month or, where all of it falls due at the end, for the whole term.
    fn interest(&self, balance: i64) -> Option<i64> {
        let months = if self.method == Method::Bullet { self.months } else { 1 };
        let yearly = Decimal::from(balance).checked_mul(self.percentage)?;
        rounded(yearly.checked_mul(Decimal::from(months))?.checked_div(Decimal::from(1_200))?)
    }

    fn due(&self, number: u32) -> Option<Date> {
        months_after(self.from, number.checked_add_signed(self.delay.into())?)
    }
}

/// Takes at most `wanted` out of `pot`.
fn take(pot: &mut i128, wanted: i64) -> i64 {
    let taken = i64::try_from((*pot).clamp(0, wanted.into())).unwrap_or(0);
    *pot -= i128::from(taken);
    taken
}

/// Half up; none where 64 bits do not hold it.
fn rounded(units: Decimal) -> Option<i64> {
    i64::try_from(units.round_dp_with_strategy(0, HALF_UP)).ok()
}

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

//! Outstanding balance of a loan after fees and repayments, as Mambu calculates it. A repayment pays the installments
//! in order, and of each the fee, the interest and the principal.

use sluice_sdk::prelude::*;
use sluice_sdk::schedule::Installment;

/// The outstanding balance of a loan. All amounts are in minor units.
pub(crate) struct LoanBalance {
    installments: Vec<OpenInstallment>,
    /// Disbursed principal that has not been repaid.
    principal: i64,
}

/// An installment with its unpaid amounts.
struct OpenInstallment {
    number: u32,
    due: Date,
    fee: i64,
    interest: i64,
    principal: i64,
}

impl LoanBalance {
    /// Creates the balance of a loan with these installments and this disbursed principal.
    pub fn new(installments: &[Installment], disbursed: i64) -> Self {
        let open = |of: &Installment| OpenInstallment {
            number: of.number,
            due: of.due,
            fee: 0,
            interest: of.interest,
            principal: of.principal,
        };
        Self { installments: installments.iter().map(open).collect(), principal: disbursed }
    }

    /// Adds a fee to the first unpaid installment that is due on or after `day`, or else to the last unpaid one.
    /// Returns the number of the installment. Returns none if all installments are paid.
    pub fn add_fee(&mut self, day: Date, fee: i64) -> Option<u32> {
        let unpaid = |open: &OpenInstallment| open.fee + open.interest + open.principal > 0;
        let next = self.installments.iter().position(|open| open.due >= day && unpaid(open));
        let next = next.or_else(|| self.installments.iter().rposition(unpaid))?;
        let open = self.installments.get_mut(next)?;
        open.fee += fee;
        Some(open.number)
    }

    /// Allocates a repayment. Returns the part of it that exceeds the balance.
    pub fn repay(&mut self, mut units: i64) -> i64 {
        for open in &mut self.installments {
            for due in [&mut open.fee, &mut open.interest] {
                let paid = units.min(*due);
                *due -= paid;
                units -= paid;
            }
            // Principal that has not been disbursed is not due.
            let paid = units.min(open.principal).min(self.principal);
            open.principal -= paid;
            self.principal -= paid;
            units -= paid;
        }
        units
    }

    /// Returns the outstanding principal.
    pub fn principal(&self) -> i64 {
        self.principal
    }

    /// Returns true if all installments are paid.
    pub fn is_paid(&self) -> bool {
        self.installments.iter().all(|open| open.fee + open.interest + open.principal == 0)
    }
}

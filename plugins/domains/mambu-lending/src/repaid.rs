//! What is owed on a loan after fees and repayments, as Mambu reckons: installment by installment, of each the fee,
//! the interest and the principal.

use sluice_sdk::prelude::*;
use sluice_sdk::schedule::Installment;

/// What is still to be paid.
pub struct Owed {
    rows: Vec<Row>,
    /// Principal that was paid out and not repaid.
    balance: i64,
}

struct Row {
    number: u32,
    due: Date,
    fee: i64,
    interest: i64,
    principal: i64,
}

impl Owed {
    /// All of these installments, with so much paid out.
    pub fn new(installments: &[Installment], paid_out: i64) -> Self {
        let row = |of: &Installment| Row {
            number: of.number,
            due: of.due,
            fee: 0,
            interest: of.interest,
            principal: of.principal,
        };
        Self { rows: installments.iter().map(row).collect(), balance: paid_out }
    }

    /// Adds a fee, in minor units, to the installment that falls due next and is not paid; its number.
    pub fn add_fee(&mut self, day: Date, fee: i64) -> Option<u32> {
        let unpaid = |row: &Row| row.fee + row.interest + row.principal > 0;
        let next = self.rows.iter().position(|row| row.due >= day && unpaid(row));
        let next = next.or_else(|| self.rows.iter().rposition(unpaid))?;
        let row = self.rows.get_mut(next)?;
        row.fee += fee;
        Some(row.number)
    }

    /// Takes a repayment, in minor units; what is left of it when nothing is owed any more.
    pub fn repay(&mut self, mut units: i64) -> i64 {
        for row in &mut self.rows {
            for owed in [&mut row.fee, &mut row.interest] {
                let taken = units.min(*owed);
                *owed -= taken;
                units -= taken;
            }
            // What was not paid out is not owed yet.
            let taken = units.min(row.principal).min(self.balance);
            row.principal -= taken;
            self.balance -= taken;
            units -= taken;
        }
        units
    }

    /// Principal that is still owed, in minor units.
    pub fn principal(&self) -> i64 {
        self.balance
    }

    /// Whether nothing is owed.
    pub fn is_paid(&self) -> bool {
        self.rows.iter().all(|row| row.fee + row.interest + row.principal == 0)
    }
}

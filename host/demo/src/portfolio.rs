//! The facts of the bank: accounts, owners and loans. Each table is made from them independently, so all tables agree.

use super::random::SeededRandom;

/// Number of customers in a block. One customer of each block has no account and uses the previous customer's.
const BLOCK: u64 = 6;

/// Percentage of accounts with a loan.
const LOANS: u64 = 18;

/// Last month of the books, 1998-12, counted from 1993-01.
pub const LAST_MONTH: u64 = 71;

/// A purpose of random numbers. Numbers of different purposes are independent.
#[derive(Clone, Copy)]
pub enum RandomPurpose {
    /// The customer of a block who has no account.
    Block = 1,
    /// A client.
    Client,
    /// A district.
    District,
    /// An account.
    Account,
    /// A loan.
    Loan,
    /// A card.
    Card,
    /// A standing order.
    Order,
    /// A transaction.
    Trans,
    /// A property.
    Property,
    /// The spoiling of a row.
    Spoil,
}

/// A day of the books. The last day of each month is the 28th, so adding months needs no calendar.
#[derive(Clone, Copy)]
pub struct Day {
    /// Number of months since 1993-01.
    pub month: u64,
    /// Day of the month, 1 to 28.
    pub day: u64,
}

impl Day {
    /// Returns the day as YYMMDD.
    pub fn yymmdd(self) -> u64 {
        ((93 + self.month / 12) * 100 + self.month % 12 + 1) * 100 + self.day
    }

    fn later(self, months: u64) -> Day {
        Day { month: self.month + months, ..self }
    }
}

/// An account. The number of its owner identifies it.
#[derive(Clone, Copy)]
pub struct Account {
    /// Number of the customer who owns the account.
    pub owner: u64,
    /// Day of opening.
    pub opened: Day,
}

/// A loan on an account. Amounts are in hundredths of a crown.
#[derive(Clone, Copy)]
pub struct Loan {
    /// Number of the customer who owns the account.
    pub owner: u64,
    /// Day of disbursement.
    pub start: Day,
    /// Monthly payment.
    pub payment: u64,
    /// Duration in months.
    pub duration: u64,
    /// Status: `A` to `D`.
    pub status: &'static str,
    /// Number of payments made.
    pub paid: u64,
    /// Amount of an early repayment.
    pub early: Option<u64>,
    /// True if a property is pledged for the loan.
    pub pledged: bool,
}

impl Loan {
    /// Returns the amount of the loan.
    pub fn amount(&self) -> u64 {
        self.payment * self.duration
    }

    /// Returns the day of the payment with this number, from 1.
    pub fn paid_on(&self, number: u64) -> Day {
        self.start.later(number)
    }
}

/// Returns the owner of the account that a customer uses. Most customers use their own.
pub fn owner(seed: u64, customer: u64) -> u64 {
    let (block, position) = ((customer - 1) / BLOCK, (customer - 1) % BLOCK);
    let without_account = SeededRandom::of(seed, RandomPurpose::Block as u64, block).between(1, BLOCK - 1);
    if position == without_account { customer - 1 } else { customer }
}

/// Returns the customer's own account, or `None`.
pub fn account(seed: u64, customer: u64) -> Option<Account> {
    let mut random = SeededRandom::of(seed, RandomPurpose::Account as u64, customer);
    let opened = Day { month: random.below(LAST_MONTH - 11), day: random.between(1, 28) };
    (owner(seed, customer) == customer).then_some(Account { owner: customer, opened })
}

/// Returns the loan on the customer's own account, or `None`. Every client is an adult, because all were born before
/// 1971.
pub fn loan(seed: u64, customer: u64) -> Option<Loan> {
    let account = account(seed, customer)?;
    let mut random = SeededRandom::of(seed, RandomPurpose::Loan as u64, customer);
    if !random.percent(LOANS) {
        return None;
    }
    let start = Day { day: random.between(1, 28), ..account.opened }.later(random.between(1, 12));
    let (payment, duration) = (random.between(300, 9_900) * 100, random.pick(&[12, 24, 36, 48, 60]));
    let (sound, pledged) = (random.percent(88), random.percent(50));
    let behind = random.between(1, 3);

    let passed = LAST_MONTH - start.month;
    let ended = passed >= duration;
    let due = passed.min(duration);
    let (status, paid) = match (ended, sound) {
        (true, true) => ("A", due),
        (true, false) => ("B", due.saturating_sub(behind)),
        (false, true) => ("C", due),
        (false, false) => ("D", due.saturating_sub(behind)),
    };
    // An early repayment is two payments. It requires that more than four payments are left.
    let early = (status == "C" && duration - paid > 4 && random.percent(10)).then_some(2 * payment);
    Some(Loan { owner: customer, start, payment, duration, status, paid, early, pledged })
}

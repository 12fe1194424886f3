//! Who has what: the facts of the bank, from which each table is written on its own and all agree.

use super::chance::Chance;

/// Customers come in blocks of so many, one of whom has no account but may use the one before.
const BLOCK: u64 = 6;

/// Accounts with a loan, in a hundred.
const LOANS: u64 = 18;

/// The last month of the books, 1998-12, counted from 1993-01.
pub const LAST_MONTH: u64 = 71;

/// Questions that chance answers, each on its own.
#[derive(Clone, Copy)]
pub enum About {
    Block = 1,
    Client,
    District,
    Account,
    Loan,
    Card,
    Order,
    Trans,
    Property,
    Spoil,
}

/// A day of the books. No month goes past its 28th, so that adding months needs no calendar.
#[derive(Clone, Copy)]
pub struct Day {
    /// Months since 1993-01.
    pub month: u64,
    /// 1 to 28.
    pub day: u64,
}

impl Day {
    /// YYMMDD.
    pub fn yymmdd(self) -> u64 {
        ((93 + self.month / 12) * 100 + self.month % 12 + 1) * 100 + self.day
    }

    fn later(self, months: u64) -> Day {
        Day { month: self.month + months, ..self }
    }
}

/// An account, which its owner's number identifies.
#[derive(Clone, Copy)]
pub struct Account {
    pub owner: u64,
    pub opened: Day,
}

/// A loan on an account. Amounts are in hundredths of a crown.
#[derive(Clone, Copy)]
pub struct Loan {
    pub owner: u64,
    pub start: Day,
    pub payment: u64,
    /// Months.
    pub duration: u64,
    pub status: &'static str,
    /// Payments made so far.
    pub paid: u64,
    /// An amount paid back beyond what was agreed.
    pub early: Option<u64>,
    /// Whether property is pledged for it.
    pub pledged: bool,
}

impl Loan {
    pub fn amount(&self) -> u64 {
        self.payment * self.duration
    }

    /// When the payment with this number, from 1, was made.
    pub fn paid_on(&self, number: u64) -> Day {
        self.start.later(number)
    }
}

/// On whose account a customer is: mostly their own.
pub fn owner(seed: u64, customer: u64) -> u64 {
    let (block, place) = ((customer - 1) / BLOCK, (customer - 1) % BLOCK);
    let without = Chance::of(seed, About::Block as u64, block).between(1, BLOCK - 1);
    if place == without { customer - 1 } else { customer }
}

/// The customer's own account.
pub fn account(seed: u64, customer: u64) -> Option<Account> {
    let mut chance = Chance::of(seed, About::Account as u64, customer);
    let opened = Day { month: chance.below(LAST_MONTH - 11), day: chance.between(1, 28) };
    (owner(seed, customer) == customer).then_some(Account { owner: customer, opened })
}

/// The loan on the customer's own account. Everyone is adult by then: clients are born before 1971.
pub fn loan(seed: u64, customer: u64) -> Option<Loan> {
    let account = account(seed, customer)?;
    let mut chance = Chance::of(seed, About::Loan as u64, customer);
    if !chance.percent(LOANS) {
        return None;
    }
    let start = Day { day: chance.between(1, 28), ..account.opened }.later(chance.between(1, 12));
    let (payment, duration) = (chance.between(300, 9_900) * 100, chance.pick(&[12, 24, 36, 48, 60]));
    let (sound, pledged) = (chance.percent(88), chance.percent(50));
    let behind = chance.between(1, 3);

    let passed = LAST_MONTH - start.month;
    let ended = passed >= duration;
    let due = passed.min(duration);
    let (status, paid) = match (ended, sound) {
        (true, true) => ("A", due),
        (true, false) => ("B", due.saturating_sub(behind)),
        (false, true) => ("C", due),
        (false, false) => ("D", due.saturating_sub(behind)),
    };
    // Two payments at once, where so much is left and more.
    let early = (status == "C" && duration - paid > 4 && chance.percent(10)).then_some(2 * payment);
    Some(Loan { owner: customer, start, payment, duration, status, paid, early, pledged })
}

//! Tables of the bank: the rows of a customer in each, and the domain records that a mapper makes of them.

use super::legacy_row::LegacyFields;
use super::legacy_row::LegacyValue::{self, Digits, Midnight, Money, Null, Street, Text, Whole};
use super::portfolio::{Day, LAST_MONTH, Loan, RandomPurpose, account, loan, owner};
use super::random::SeededRandom;

/// A legacy table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegacyTable {
    /// Districts.
    District,
    /// Clients.
    Client,
    /// Accounts.
    Account,
    /// Dispositions: the clients of an account.
    Disp,
    /// Cards.
    Card,
    /// Loans.
    Loan,
    /// Standing orders.
    Order,
    /// Transactions.
    Trans,
    /// Properties.
    Property,
    /// Pledges of properties for loans.
    Pledge,
}

/// Names of the tables, in upload order: a table follows the tables that it refers to.
pub const TABLES: &[(&str, LegacyTable)] = &[
    ("district", LegacyTable::District),
    ("client", LegacyTable::Client),
    ("account", LegacyTable::Account),
    ("disp", LegacyTable::Disp),
    ("card", LegacyTable::Card),
    ("loan", LegacyTable::Loan),
    ("order", LegacyTable::Order),
    ("trans", LegacyTable::Trans),
    ("property", LegacyTable::Property),
    ("pledge", LegacyTable::Pledge),
];

/// The kind of domain record that a row becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entity {
    /// A counterparty, made of a client.
    Counterparty,
    /// An agreement, made of a loan.
    Agreement,
    /// A collateral object, made of a property.
    CollateralObject,
    /// A collateral, made of a pledge.
    Collateral,
    /// A disbursement, made of a transaction.
    Disbursement,
    /// A repayment, made of a transaction.
    Repayment,
    /// An additional repayment, made of a transaction.
    AdditionalRepayment,
    /// A debit mandate, made of a standing order.
    DebitMandate,
}

/// Names of the platform's entity types, in the order of [`Entity`].
pub const ENTITY_TYPES: &[&str] = &[
    "counterparties",
    "agreements",
    "collateral-objects",
    "collaterals",
    "disbursements",
    "repayments",
    "additional-repayments",
    "debit-mandates",
];

/// A row of a legacy table.
#[derive(Clone, Copy)]
pub struct LegacyRow {
    /// Table of the row.
    pub table: LegacyTable,
    /// Key of the row, unique in its table.
    pub key: u64,
    /// Fields of the row.
    pub fields: LegacyFields,
    /// Kind of the domain record that the row becomes, and its amount in hundredths of a crown. `None` if the mapper
    /// skips the row.
    pub becomes: Option<(Entity, u64)>,
}

const DISTRICTS: u64 = 77;

// Each kind of object has a range of numbers, so an object of one kind cannot be mistaken for another. Customers are
// numbered from 1 and below the first of these bases. No object has the number of its base.

/// Base of the account numbers.
pub const ACCOUNTS: u64 = 10_000_000;
const LOANS: u64 = 20_000_000;
const DISPS: u64 = 30_000_000;
const CARDS: u64 = 40_000_000;
/// Base of the property numbers.
pub const PROPERTIES: u64 = 50_000_000;
const PLEDGES: u64 = 60_000_000;
const ORDERS_EACH: u64 = 8;
const TRANS_EACH: u64 = 128;

const TOWNS: &[(&str, &str)] = &[
    ("Praha", "11000"),
    ("Brno", "60200"),
    ("Ostrava", "70200"),
    ("Plzen", "30100"),
    ("Liberec", "46001"),
    ("Olomouc", "77900"),
    ("Hradec Kralove", "50002"),
    ("Ceske Budejovice", "37001"),
];
const REGIONS: &[&str] =
    &["Prague", "south Moravia", "north Moravia", "west Bohemia", "north Bohemia", "south Bohemia"];
const STREETS: &[&str] = &["Lipova", "Nadrazni", "Zahradni", "Skolni", "Polni", "Dlouha", "Na Kopci", "U Mlyna"];
const BANKS: &[&str] = &["AB", "CD", "EF", "GH", "IJ", "KL", "MN", "OP", "QR", "ST", "UV", "WX", "YZ"];
const PURPOSES: &[&str] = &["SIPO", "SIPO", "SIPO", " ", "POJISTNE", "LEASING"];
const KINDS: &[&str] = &["BYT", "BYT", "BYT", "DUM", "DUM", "DUM", "KANCELAR", "POZEMEK"];

/// Everyday transactions: type, operation and symbol.
const EVERYDAY: &[(&str, &str, &str)] = &[
    ("VYDAJ", "VYBER", ""),
    ("VYDAJ", "VYBER", ""),
    ("VYDAJ", "VYBER", "SLUZBY"),
    ("PRIJEM", "VKLAD", ""),
    ("PRIJEM", "", "UROK"),
    ("VYDAJ", "PREVOD NA UCET", "SIPO"),
    ("PRIJEM", "PREVOD Z UCTU", "DUCHOD"),
    ("VYBER", "VYBER", ""),
];

impl LegacyTable {
    /// Returns the number of steps of the table. A step is a customer or a district, and has any number of rows.
    pub fn steps(self, customers: u64) -> u64 {
        if self == LegacyTable::District { DISTRICTS } else { customers }
    }

    /// Passes the rows of a step to `sink`. Steps count from 1.
    pub fn rows(self, seed: u64, step: u64, sink: &mut impl FnMut(LegacyRow)) {
        match self {
            LegacyTable::District => sink(district(seed, step)),
            LegacyTable::Client => sink(client(seed, step)),
            LegacyTable::Account => account_row(seed, step, sink),
            LegacyTable::Disp => sink(disp(seed, step)),
            LegacyTable::Card => card(seed, step, sink),
            LegacyTable::Loan => loan(seed, step).iter().for_each(|loan| sink(loan_row(loan))),
            LegacyTable::Order => orders(seed, step, sink),
            LegacyTable::Trans => transactions(seed, step, sink),
            LegacyTable::Property => pledged(seed, step).iter().for_each(|loan| sink(property(seed, loan))),
            LegacyTable::Pledge => pledged(seed, step).iter().for_each(|loan| sink(pledge(loan))),
        }
    }
}

fn row(
    table: LegacyTable,
    key: u64,
    becomes: Option<(Entity, u64)>,
    fields: &[(&'static str, LegacyValue)],
) -> LegacyRow {
    LegacyRow { table, key, fields: LegacyFields::new(fields), becomes }
}

fn district(seed: u64, key: u64) -> LegacyRow {
    let mut random = SeededRandom::of(seed, RandomPurpose::District as u64, key);
    let fields = [
        ("A1", Whole(key)),
        ("A2", Text(random.pick(TOWNS).0)),
        ("A3", Text(random.pick(REGIONS))),
        ("A4", Whole(random.between(40_000, 1_200_000))),
        ("A11", Whole(random.between(8_000, 12_500))),
    ];
    row(LegacyTable::District, key, None, &fields)
}

fn client(seed: u64, customer: u64) -> LegacyRow {
    let mut random = SeededRandom::of(seed, RandomPurpose::Client as u64, customer);
    let woman = if random.percent(50) { 50 } else { 0 };
    let born = (random.between(20, 70) * 100 + random.between(1, 12) + woman) * 100 + random.between(1, 28);
    let district = random.between(1, DISTRICTS);
    let fields = [("client_id", Whole(customer)), ("birth_number", Digits(born, 6)), ("district_id", Whole(district))];
    row(LegacyTable::Client, customer, Some((Entity::Counterparty, 0)), &fields)
}

fn account_row(seed: u64, customer: u64, sink: &mut impl FnMut(LegacyRow)) {
    let Some(account) = account(seed, customer) else { return };
    let key = ACCOUNTS + account.owner;
    let mut random = SeededRandom::of(seed, RandomPurpose::District as u64, key);
    let fields = [
        ("account_id", Whole(key)),
        ("district_id", Whole(random.between(1, DISTRICTS))),
        ("frequency", Text(if random.percent(93) { "POPLATEK MESICNE" } else { "POPLATEK TYDNE" })),
        ("date", Whole(account.opened.yymmdd())),
    ];
    sink(row(LegacyTable::Account, key, None, &fields));
}

fn disp(seed: u64, customer: u64) -> LegacyRow {
    let owner = owner(seed, customer);
    let fields = [
        ("disp_id", Whole(DISPS + customer)),
        ("client_id", Whole(customer)),
        ("account_id", Whole(ACCOUNTS + owner)),
        ("type", Text(if owner == customer { "OWNER" } else { "DISPONENT" })),
    ];
    row(LegacyTable::Disp, DISPS + customer, None, &fields)
}

fn card(seed: u64, customer: u64, sink: &mut impl FnMut(LegacyRow)) {
    let mut random = SeededRandom::of(seed, RandomPurpose::Card as u64, customer);
    let Some(account) = account(seed, customer).filter(|_| random.percent(20)) else { return };
    let issued = Day { day: random.between(1, 28), ..account.opened };
    let fields = [
        ("card_id", Whole(CARDS + customer)),
        ("disp_id", Whole(DISPS + customer)),
        ("type", Text(random.pick(&["classic", "classic", "classic", "junior", "gold"]))),
        ("issued", Midnight(issued.yymmdd())),
    ];
    sink(row(LegacyTable::Card, CARDS + customer, None, &fields));
}

fn loan_row(loan: &Loan) -> LegacyRow {
    let key = LOANS + loan.owner;
    let fields = [
        ("loan_id", Whole(key)),
        ("account_id", Whole(ACCOUNTS + loan.owner)),
        ("date", Whole(loan.start.yymmdd())),
        ("amount", Whole(loan.amount() / 100)),
        ("duration", Whole(loan.duration)),
        ("payments", Money(loan.payment)),
        ("status", Text(loan.status)),
    ];
    row(LegacyTable::Loan, key, Some((Entity::Agreement, loan.amount())), &fields)
}

/// Standing orders: some for this and that, and one that pays the loan where there is one.
fn orders(seed: u64, customer: u64, sink: &mut impl FnMut(LegacyRow)) {
    if account(seed, customer).is_none() {
        return;
    }
    let mut random = SeededRandom::of(seed, RandomPurpose::Order as u64, customer);
    let mut number = customer * ORDERS_EACH;
    let mut order = |random: &mut SeededRandom, amount, symbol, becomes| {
        let fields = [
            ("order_id", Whole(number)),
            ("account_id", Whole(ACCOUNTS + customer)),
            ("bank_to", Text(random.pick(BANKS))),
            ("account_to", Digits(random.below(100_000_000), 8)),
            ("amount", Money(amount)),
            ("k_symbol", Text(symbol)),
        ];
        sink(row(LegacyTable::Order, number, becomes, &fields));
        number += 1;
    };
    if let Some(loan) = loan(seed, customer) {
        order(&mut random, loan.payment, "UVER", Some((Entity::DebitMandate, loan.payment)));
    }
    for _ in 0..random.pick(&[0, 1, 1, 1, 2, 2]) {
        let (amount, symbol) = (random.between(10, 9_999) * 10, random.pick(PURPOSES));
        order(&mut random, amount, symbol, None);
    }
}

/// Passes a customer's transactions to `sink`: everyday ones, and those of the loan, which is disbursed once and repaid
/// monthly.
fn transactions(seed: u64, customer: u64, sink: &mut impl FnMut(LegacyRow)) {
    let Some(account) = account(seed, customer) else { return };
    let mut random = SeededRandom::of(seed, RandomPurpose::Trans as u64, customer);
    let mut number = customer * TRANS_EACH;
    let mut trans =
        |random: &mut SeededRandom, day: Day, (kind, operation, symbol), amount, becomes: Option<Entity>| {
            let elsewhere = operation == "PREVOD NA UCET" || operation == "PREVOD Z UCTU";
            let fields = [
                ("trans_id", Whole(number)),
                ("account_id", Whole(ACCOUNTS + customer)),
                ("date", Whole(day.yymmdd())),
                ("type", Text(kind)),
                ("operation", Text(operation)),
                ("amount", Money(amount)),
                ("balance", Money(random.below(1_000_000) * 10)),
                ("k_symbol", Text(symbol)),
                ("bank", if elsewhere { Text(random.pick(BANKS)) } else { Null }),
                ("account", if elsewhere { Digits(random.below(100_000_000), 8) } else { Null }),
            ];
            sink(row(LegacyTable::Trans, number, becomes.map(|entity| (entity, amount)), &fields));
            number += 1;
        };
    for _ in 0..random.between(4, 10) {
        let day = Day { month: random.between(account.opened.month, LAST_MONTH), day: random.between(1, 28) };
        let (what, amount) = (random.pick(EVERYDAY), random.between(1, 100_000) * 10);
        trans(&mut random, day, what, amount, None);
    }
    let Some(loan) = loan(seed, customer) else { return };
    let paid_out = ("PRIJEM", "PREVOD Z UCTU", "UVER_VYPLATA");
    trans(&mut random, loan.start, paid_out, loan.amount(), Some(Entity::Disbursement));
    for payment in 1..=loan.paid {
        let paid = ("VYDAJ", "PREVOD NA UCET", "UVER");
        trans(&mut random, loan.paid_on(payment), paid, loan.payment, Some(Entity::Repayment));
    }
    if let Some(amount) = loan.early {
        let early = ("VYDAJ", "PREVOD NA UCET", "UVER_MIMO");
        trans(&mut random, loan.paid_on(loan.paid), early, amount, Some(Entity::AdditionalRepayment));
    }
}

fn pledged(seed: u64, customer: u64) -> Option<Loan> {
    loan(seed, customer).filter(|loan| loan.pledged)
}

/// Returns the property that is pledged for a loan. It is worth more than the loan.
fn property(seed: u64, loan: &Loan) -> LegacyRow {
    let key = PROPERTIES + loan.owner;
    let mut random = SeededRandom::of(seed, RandomPurpose::Property as u64, loan.owner);
    let value = loan.amount() / 10_000 * random.between(110, 250);
    let (city, zip) = random.pick(TOWNS);
    let fields = [
        ("property_id", Whole(key)),
        ("kind", Text(random.pick(KINDS))),
        ("value", Money(value * 100)),
        ("valued", Whole(loan.start.yymmdd())),
        ("street", Street(random.pick(STREETS), random.between(1, 200))),
        ("zip", Text(zip)),
        ("city", Text(city)),
    ];
    row(LegacyTable::Property, key, Some((Entity::CollateralObject, value * 100)), &fields)
}

fn pledge(loan: &Loan) -> LegacyRow {
    let key = PLEDGES + loan.owner;
    let fields = [
        ("pledge_id", Whole(key)),
        ("loan_id", Whole(LOANS + loan.owner)),
        ("property_id", Whole(PROPERTIES + loan.owner)),
        ("client_id", Whole(loan.owner)),
        ("rank", Whole(1)),
        ("amount", Whole(loan.amount() / 100)),
    ];
    row(LegacyTable::Pledge, key, Some((Entity::Collateral, loan.amount())), &fields)
}
